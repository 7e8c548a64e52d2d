//! The service host behind the nodes: what a VPN is for. It has a name, a web page and iperf3, and clients reach it through a tunnel only.

use std::{fs, time::Duration};

use super::{
    ServiceState, Stack, StackError,
    service_state::{IPERF_PORT, PAGE, SERVICE_NAME},
};
use crate::{
    binaries,
    process::{Process, Spec},
    wait,
};

const START: Duration = Duration::from_secs(20);

impl Stack {
    /// Builds the service host and starts what it serves; gives a line for people.
    pub(super) async fn start_service(&mut self) -> Result<String, StackError> {
        let network = self.network()?.clone();
        let namespace = network.add_service().await?;
        let service = ServiceState {
            namespace,
            address: network.service().into(),
            address6: network.service6().into(),
            networks: [network.behind(), network.behind6()],
        };
        let dir = self.state.folder("service", 0o755)?;
        let page = dir.join("index.html");
        fs::write(&page, PAGE).map_err(StackError::file(&page))?;
        for spec in self.servers_of(&service)? {
            let process = Process::spawn(&spec)?;
            self.scratch.stop_at_end(process.identity(), "KILL");
        }
        let urls = [
            ServiceState::url_at(service.address),
            ServiceState::url_at(service.address6),
            service.url(),
        ];
        service
            .namespace
            .set_resolver(service.address)
            .await
            .map_err(StackError::file("/etc/netns"))?;
        for url in urls {
            wait::until_ok(START, format_args!("the page {url}"), async || {
                service.namespace.fetch(&url).await
            })
            .await
            .map_err(StackError::Service)?;
        }
        let told = format!("{SERVICE_NAME}, {} and {}", service.address, service.address6);
        self.state.service = Some(service);
        self.state.save()?;
        Ok(told)
    }

    /// A resolver, a web page and iperf3.
    fn servers_of(&self, service: &ServiceState) -> Result<[Spec; 3], StackError> {
        let dir = self.state.folder("service", 0o755)?;
        let spec = |name: &str, program: &str| -> Result<Spec, StackError> {
            let log = self.state.dir.join("logs").join(format!("{name}.log"));
            Ok(service
                .namespace
                .spec(name, binaries::required_tool(program)?, &dir, &log))
        };
        let resolver = spec("resolver", "dnsmasq")?
            .args([
                "--keep-in-foreground",
                "--no-resolv",
                "--no-hosts",
                "--no-poll",
                "--user=root",
                "--log-facility=-",
            ])
            // Neither the machine's configuration nor a file for its pid.
            .args(["--conf-file=/dev/null", "--pid-file="])
            .args([
                format!("--host-record={SERVICE_NAME},{},{}", service.address, service.address6),
                "--local=/example/".to_owned(),
            ]);
        let page = spec("page", "python3")?
            .args(["-m", "http.server", "--bind", "::", "--directory"])
            .args([&dir])
            .args(["80"]);
        let iperf = spec("iperf3", "iperf3")?.args(["--server", "--port", &IPERF_PORT.to_string()]);
        Ok([resolver, page, iperf])
    }
}
