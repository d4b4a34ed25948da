//! Addresses of servers: how they may be written, which are of this machine, and which are unencrypted.

use url::Url;

use super::error::{Error, quote};

/// Parses an address of an origin and a path: http or https, without credentials, query and fragment.
pub(crate) fn origin(address: &str) -> Result<Url, Error> {
    let bad = |why: &str| {
        // The error does not repeat a password in the address.
        let shown = address.rsplit_once('@').map_or(address, |(_, host)| host);
        Error::Address { address: quote(shown), why: why.into() }
    };
    let url = Url::parse(address).map_err(|_| bad("write it as https://host or http://host:port"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(bad("write it as https://host or http://host:port"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("it holds credentials; give them apart from the address"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad("it holds a query or a fragment"));
    }
    Ok(url)
}

/// Whether an address is one of this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// The warning that credentials travel unencrypted, if they do.
pub(crate) fn unencrypted(url: &Url, has_credentials: bool) -> Option<String> {
    (url.scheme() == "http" && has_credentials && !is_loopback(url)).then(|| {
        format!(
            "credentials go to {} unencrypted; use https where the path is not yours alone",
            url.authority()
        )
    })
}
