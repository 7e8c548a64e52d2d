//! The service host behind the nodes: what a VPN is for. It has a name, a web page and iperf3, and clients reach it through a tunnel only.

use std::{fs, time::Duration};

use super::{
    ServiceState, Stack, StackError,
    service_state::{PAGE, SERVICE_IPERF, SERVICE_NAME},
};
use crate::{
    binaries,
    net::has_ipv6,
    process::{Process, Spec},
    wait,
};

const START: Duration = Duration::from_secs(20);
/// Where the web page is: that of HTTP.
const PAGE_PORT: u16 = 80;

impl Stack {
    /// Builds the service host and starts what it serves; gives a line for people.
    pub(super) async fn start_service(&mut self) -> Result<String, StackError> {
        let network = self.network()?.clone();
        let namespace = network.add_service().await?;
        let service = ServiceState {
            namespace,
            addresses: network.service(),
            networks: network.behind(),
        };
        let dir = self.state.folder("service", 0o755)?;
        let page = dir.join("index.html");
        fs::write(&page, PAGE).map_err(StackError::file(&page))?;
        for spec in self.servers_of(&service)? {
            let process = Process::spawn(&spec)?;
            self.scratch.stop_at_end(process.identity(), "KILL");
        }
        service
            .namespace
            .set_resolver(service.resolver())
            .await
            .map_err(StackError::file("/etc/netns"))?;
        for url in service.urls().chain([service.url()]) {
            wait::until_ok(START, format_args!("the page {url}"), async || {
                service.namespace.fetch(&url).await
            })
            .await
            .map_err(StackError::Service)?;
        }
        let addresses: Vec<String> = service.addresses.iter().map(ToString::to_string).collect();
        let told = format!("{SERVICE_NAME}, {}", addresses.join(" and "));
        self.state.service = Some(service);
        self.state.save()?;
        Ok(told)
    }

    /// Serves the web page at another port of the service host too.
    ///
    /// # Errors
    /// [`StackError`], also when there is no service host.
    pub async fn serve_page_at(&self, port: u16) -> Result<(), StackError> {
        let service = self.service()?;
        let process = Process::spawn(&self.page_of(service, port)?)?;
        self.scratch.stop_at_end(process.identity(), "KILL");
        let url = format!("http://{}:{port}/", service.namespace.address);
        wait::until_ok(START, format_args!("the page {url}"), async || {
            service.namespace.fetch(&url).await
        })
        .await
        .map_err(StackError::Service)?;
        Ok(())
    }

    /// The web page at this port, over every family that the kernel has.
    fn page_of(&self, service: &ServiceState, port: u16) -> Result<Spec, StackError> {
        let dir = self.state.folder("service", 0o755)?;
        let name = format!("page-{port}");
        let log = self.state.dir.join("logs").join(format!("{name}.log"));
        let spec = service
            .namespace
            .spec(&name, binaries::required_tool("python3")?, &dir, &log);
        let all = if has_ipv6() { "::" } else { "0.0.0.0" };
        Ok(spec
            .args(["-m", "http.server", "--bind", all, "--directory"])
            .args([&dir])
            .args([port.to_string()]))
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
        let addresses: Vec<String> = service.addresses.iter().map(ToString::to_string).collect();
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
                format!("--host-record={SERVICE_NAME},{}", addresses.join(",")),
                "--local=/example/".to_owned(),
            ]);
        let page = self.page_of(service, PAGE_PORT)?;
        let iperf = spec("iperf3", "iperf3")?.args(["--server", "--port", &SERVICE_IPERF.to_string()]);
        Ok([resolver, page, iperf])
    }
}
