//! A path below a proxy.

use vpnmanager_openapi::server::{HttpConfig, TrustedProxies};

use crate::running::{exchange, start, start_behind};

fn get(path: &str, prefix: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-forwarded-prefix: {prefix}\r\n\r\n")
}

#[tokio::test]
async fn a_trusted_proxy_says_below_which_path_the_service_is() {
    let proxies: TrustedProxies = serde_json::from_str(r#"["127.0.0.1"]"#).unwrap();
    let behind = start_behind(proxies, HttpConfig::default()).await;
    let server = r#""url": "/vpn""#;
    for path in ["/openapi.json", "/docs"] {
        for _ in 0..2 {
            let answer = exchange(&behind, get(path, "/vpn")).await;
            assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(server), "{path}");
        }
        let answer = exchange(&behind, get(path, "/")).await;
        assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains(server), "{path}");
    }
    let answer = exchange(&behind, get("/openapi.yaml", "/vpn")).await;
    assert!(answer.contains("\"/vpn\""), "{answer}");
    let answer = exchange(&behind, get("/openapi.json", "//evil.example")).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");

    let alone = start(HttpConfig::default()).await;
    let answer = exchange(&alone, get("/openapi.json", "/vpn")).await;
    assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains(server));
}
