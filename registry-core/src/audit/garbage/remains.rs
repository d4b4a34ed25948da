//! What writers left behind: stale uploads and temporary files. Also referrers that every untagged collection deletes.

use super::survey::{GarbagePiece, Survey};
use crate::audit::code::Code;
use crate::audit::counts::Garbage;
use crate::audit::draft::Draft;
use crate::audit::finding::Repair;
use crate::audit::messages::{plural, short};
use crate::audit::options::{AuditOptions, UPLOAD_STALE_AFTER};
use crate::graph::{Graph, NodeId, Repository, Seconds};
use crate::path::Place;

pub(super) fn find_stale_uploads(
    repository: &Repository,
    options: &AuditOptions,
    index: usize,
    garbage: &mut Garbage,
    survey: &mut Survey,
) {
    let (mut count, mut bytes, mut without_start) = (0, 0, 0_u64);
    for upload in &repository.uploads {
        let started = upload
            .started_at
            .map_or(upload.modified, |at| Seconds::try_from(at.max(0)).unwrap_or(Seconds::MAX));
        if started.saturating_add(UPLOAD_STALE_AFTER) >= options.now || options.is_young(upload.modified) {
            continue;
        }
        count += 1;
        bytes += upload.bytes;
        without_start += u64::from(upload.started_at.is_none());
        if options.list_garbage {
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
        let mut message = format!("{} older than 168 h, {}", plural(count, "upload"), plural(bytes, "byte"));
        if without_start > 0 {
            message += &format!(
                "; the server never purges {without_start} of them, which have no readable startedat"
            );
        }
        let draft = Draft::new(Code::UploadStale, None, Place::Uploads(&repository.name), message);
        survey.repository_drafts.push((index, draft.with_repair(Some(Repair::Remove))));
    }
}

pub(super) fn untagged_referrer(graph: &Graph, repository: &Repository, node: NodeId) -> Draft {
    let digest = graph.digest(node);
    let subject = graph.manifest(node).and_then(|manifest| manifest.subject);
    let subject =
        subject.map_or_else(String::new, |subject| format!(" of {}", short(&graph.digest(subject))));
    let message =
        format!("referrer{subject} that no tag and no index names: every untagged collection deletes it");
    Draft::new(Code::ReferrerUntagged, Some(node), Place::RevisionLink(&repository.name, digest), message)
}

pub(super) fn find_temp_files(graph: &Graph, options: &AuditOptions, survey: &mut Survey) {
    for temp in graph.temp_files.iter().filter(|temp| !options.is_young(temp.modified)) {
        let message =
            format!("temporary file of a write that never finished, {}", plural(temp.bytes, "byte"));
        let draft = Draft::new(Code::TempFileStale, None, &temp.path, message).with_detail(&*temp.path);
        let draft = draft.with_repair(Some(Repair::Remove));
        let repository = temp.repository.as_deref();
        match graph.repositories.iter().position(|one| Some(&*one.name) == repository) {
            Some(index) => survey.repository_drafts.push((index, draft)),
            None => survey.registry_drafts.push(draft),
        }
        if options.list_garbage {
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
