//! Which of the authorities and servers of a source belong together.

use std::path::PathBuf;

use crate::{
    error::ReadError,
    folder::Folder,
    found::{Place, Remark},
    pki::{Authority, PkiFolder},
    server::ServerConf,
};

/// One authority, and the servers that trust it.
#[derive(Debug, Default)]
pub(crate) struct Choice {
    pub(crate) pki: Option<PkiFolder>,
    pub(crate) authority: Option<Authority>,
    pub(crate) confs: Vec<ServerConf>,
}

/// What is left out is in the remarks.
pub(crate) fn choose(
    folder: &Folder,
    pkis: Vec<PkiFolder>,
    confs: Vec<ServerConf>,
    remarks: &mut Vec<Remark>,
) -> Result<Choice, ReadError> {
    let (confs, trusted) = trusting_alike(folder, confs, remarks)?;
    let mut candidates = Vec::new();
    for pki in pkis {
        let authority = match &pki.authority {
            Some(file) => Some(Authority::read(file, &folder.read(file)?)?),
            None => None,
        };
        candidates.push((pki, authority));
    }
    let (mut fitting, others): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|(_, authority)| {
        let both = authority.as_ref().zip(trusted.as_ref());
        both.is_none_or(|(one, other)| one.is_same(other))
    });
    if let (true, Some(conf), false) = (fitting.is_empty(), confs.first(), others.is_empty()) {
        return Err(ReadError::OtherAuthority {
            conf: conf.file.clone(),
            folders: others.iter().map(|(pki, _)| shown(pki)).collect(),
        });
    }
    if !are_alike(&fitting) {
        return Err(ReadError::SeveralAuthorities {
            folders: fitting.iter().map(|(pki, _)| shown(pki)).collect(),
        });
    }
    // An index only grows: of copies, the longest is the newest.
    let length = |pki: &PkiFolder| {
        pki.index
            .as_ref()
            .and_then(|index| folder.read(index).ok())
            .map_or(0, |it| it.len())
    };
    fitting.sort_by_cached_key(|(pki, _)| {
        let depth = pki.folder.components().count();
        (std::cmp::Reverse(length(pki)), depth, pki.folder.clone())
    });
    let mut fitting = fitting.into_iter();
    let (pki, authority) = fitting.next().unzip();
    for (copy, _) in fitting {
        let text = "the folder is left out: it is a copy of that of the same authority";
        remarks.push(Place::file(&copy.folder).remark(text));
    }
    for (other, _) in others {
        let text = "the folder is left out: it is of another authority than the one that the server trusts";
        remarks.push(Place::file(&other.folder).remark(text));
    }
    Ok(Choice {
        pki,
        // Of a renewed authority the server has the newer certificate.
        authority: trusted.or(authority.flatten()),
        confs,
    })
}

/// The servers that trust what the first one trusts, and what that is.
fn trusting_alike(
    folder: &Folder,
    confs: Vec<ServerConf>,
    remarks: &mut Vec<Remark>,
) -> Result<(Vec<ServerConf>, Option<Authority>), ReadError> {
    let (mut alike, mut trusted): (Vec<ServerConf>, Option<Authority>) = (Vec::new(), None);
    for conf in confs {
        let authority = conf.authority(folder, remarks)?;
        let both = authority.as_ref().zip(trusted.as_ref());
        if both.is_some_and(|(one, other)| !one.is_same(other)) {
            remarks.push(conf.remark("the server is left out: it trusts another authority"));
            continue;
        }
        trusted = trusted.or(authority);
        alike.push(conf);
    }
    Ok((alike, trusted))
}

/// Whether all are of one authority, as far as that is known.
fn are_alike(pkis: &[(PkiFolder, Option<Authority>)]) -> bool {
    let mut known = pkis.iter().filter_map(|(_, authority)| authority.as_ref());
    let first = known.next();
    first.is_none_or(|first| known.all(|other| other.is_same(first)))
}

fn shown(pki: &PkiFolder) -> String {
    let folder = if pki.folder.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        pki.folder.clone()
    };
    folder.display().to_string()
}
