//! A message with its edits carried out, in memory or in a file as it was.

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::sync::Arc;

use millrace_client::Content;
use millrace_proto::Edit;
use millrace_qmail::{apply, changes_message};

use crate::budget::Charge;
use crate::spool::SpoolPlace;

/// A message up to this size is edited in place, larger ones on a thread of their own.
const SMALL: u64 = 64 << 10;
const BUFFER: usize = 64 << 10;

/// The message, and what it holds of the disk.
pub(super) async fn edited(
    content: Content,
    edits: &[Edit],
    place: &Arc<SpoolPlace>,
) -> Result<(Content, Option<Charge>), String> {
    if !edits.iter().any(changes_message) {
        return Ok((content, None));
    }
    if let Content::Memory(bytes) = &content
        && content.len() <= SMALL
    {
        let mut to = Vec::with_capacity(bytes.len() + 1024);
        apply(edits, &bytes[..], &mut to).map_err(|error| error.to_string())?;
        return Ok((Content::Memory(to.into()), None));
    }
    let (edits, place) = (edits.to_vec(), place.clone());
    let written = tokio::task::spawn_blocking(move || rewrite(&content, &edits, &place));
    written
        .await
        .unwrap_or_else(|_| Err("the writing thread panicked".to_owned()))
}

fn rewrite(
    content: &Content,
    edits: &[Edit],
    place: &SpoolPlace,
) -> Result<(Content, Option<Charge>), String> {
    match content {
        Content::Memory(bytes) => {
            let mut to = Vec::with_capacity(bytes.len() + 1024);
            apply(edits, &bytes[..], &mut to).map_err(|error| error.to_string())?;
            Ok((Content::Memory(to.into()), None))
        }
        Content::Spooled { file, length } => {
            let mut room = Charge::new(place.budget.clone());
            let inserted: u64 = edits.iter().map(size).sum();
            room.cover(length + inserted)
                .map_err(|error| error.to_string())?;
            let written = to_file(file, edits, place).map_err(|error| error.to_string())?;
            Ok((written, Some(room)))
        }
    }
}

fn to_file(file: &Arc<File>, edits: &[Edit], place: &SpoolPlace) -> io::Result<Content> {
    let mut from = &**file;
    from.rewind()?;
    let mut to = BufWriter::with_capacity(BUFFER, tempfile::tempfile_in(&place.folder)?);
    apply(edits, from, &mut to)?;
    to.flush()?;
    let mut file = to.into_inner().map_err(io::IntoInnerError::into_error)?;
    let length = file.stream_position()?;
    Ok(Content::Spooled {
        file: Arc::new(file),
        length,
    })
}

/// Bytes that an edit adds, about.
fn size(edit: &Edit) -> u64 {
    let bytes = match edit {
        Edit::AddHeader { name, value }
        | Edit::InsertHeader { name, value }
        | Edit::ChangeHeader { name, value, .. } => name.len() + value.len() + 4,
        Edit::ReplaceBody { body } => body.len(),
        Edit::DeleteHeader { .. }
        | Edit::ChangeSender { .. }
        | Edit::AddRecipient { .. }
        | Edit::DeleteRecipient { .. } => 0,
    };
    bytes as u64
}
