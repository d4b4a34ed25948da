//! What writers left behind: uploads, temporary files; and referrers, which only an untagged collection decides about.

use super::survey::{GarbagePiece, Survey};
use crate::audit::code::Code;
use crate::audit::counts::Garbage;
use crate::audit::draft::Draft;
use crate::audit::finding::Repair;
use crate::audit::messages::{plural, short};
use crate::audit::options::{AuditOptions, UPLOAD_STALE_AFTER};
use crate::graph::{Graph, NodeId, Repository, Seconds};
use crate::path::Place;

pub(super) fn uploads(
    repository: &Repository,
    options: &AuditOptions,
    index: usize,
    garbage: &mut Garbage,
    survey: &mut Survey,
    list: bool,
) {
    let (mut count, mut bytes, mut forgotten) = (0, 0, 0_u64);
    for upload in &repository.uploads {
        let started = upload
            .started_at
            .map_or(upload.modified, |at| Seconds::try_from(at.max(0)).unwrap_or(Seconds::MAX));
        if started.saturating_add(UPLOAD_STALE_AFTER) >= options.now || options.is_young(upload.modified) {
            continue;
        }
        count += 1;
        bytes += upload.bytes;
        forgotten += u64::from(upload.started_at.is_none());
        if list {
            survey.pieces.push(GarbagePiece {
                code: Code::UploadStale,
                repository: Some(repository.name.clone()),
                digest: None,
                path: Place::UploadFolder(&repository.name, &upload.id).to_string(),
                bytes: upload.bytes,
            });
        }
    }
    garbage.stale_uploads += count;
    garbage.stale_upload_bytes += bytes;
    if count > 0 {
        let never = if forgotten > 0 {
            format!("; the server never purges {forgotten} of them, which have no readable startedat")
        } else {
            String::new()
        };
        let message =
            format!("{} older than 168 h, {}{never}", plural(count, "upload"), plural(bytes, "byte"));
        let draft = Draft::new(Code::UploadStale, None, Place::Uploads(&repository.name), message);
        survey.of_repository.push((index, draft.repair(Some(Repair::Remove))));
    }
}

pub(super) fn referrer(graph: &Graph, repository: &Repository, node: NodeId) -> Draft {
    let digest = graph.digest(node);
    let subject = graph.manifest(node).and_then(|manifest| manifest.subject);
    let subject =
        subject.map_or_else(String::new, |subject| format!(" of {}", short(&graph.digest(subject))));
    let message =
        format!("referrer{subject} that no tag and no index names: every untagged collection deletes it");
    Draft::new(Code::ReferrerUntagged, Some(node), Place::RevisionLink(&repository.name, digest), message)
}

pub(super) fn temp_files(graph: &Graph, options: &AuditOptions, survey: &mut Survey, list: bool) {
    for temp in graph.temp_files.iter().filter(|temp| !options.is_young(temp.modified)) {
        let message =
            format!("temporary file of a write that never finished, {}", plural(temp.bytes, "byte"));
        let draft = Draft::new(Code::TempFileStale, None, &temp.path, message).apart_by(&*temp.path);
        let draft = draft.repair(Some(Repair::Remove));
        let repository = temp.repository.as_deref();
        let owner = graph.repositories.iter().position(|one| Some(&*one.name) == repository);
        match owner {
            Some(index) => survey.of_repository.push((index, draft)),
            None => survey.of_root.push(draft),
        }
        if list {
            survey.pieces.push(GarbagePiece {
                code: Code::TempFileStale,
                repository: temp.repository.clone(),
                digest: None,
                path: temp.path.clone(),
                bytes: temp.bytes,
            });
        }
    }
}
