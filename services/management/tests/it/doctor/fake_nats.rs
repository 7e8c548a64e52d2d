//! A server that says that it is an old nats-server.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    thread,
};

/// Starts one that lets everybody in, and gives its URL. It ends with the process.
pub(super) fn old_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // Whoever leaves ends its thread.
            thread::spawn(move || _ = talk(client));
        }
    });
    format!("nats://{address}")
}

fn talk(mut client: TcpStream) -> std::io::Result<()> {
    let info = r#"{"server_id":"OLD","server_name":"old","version":"2.9.10","proto":1,"go":"go1.19","host":"127.0.0.1","port":4222,"headers":true,"max_payload":1048576,"client_id":1,"nonce":"bm9uY2U"}"#;
    client.write_all(format!("INFO {info}\r\n").as_bytes())?;
    let lines = BufReader::new(client.try_clone()?).lines();
    for line in lines {
        if line?.starts_with("PING") {
            client.write_all(b"PONG\r\n")?;
        }
    }
    Ok(())
}
