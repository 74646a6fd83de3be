//! The steps that lead from what is there to an installation, or away from it.

use std::path::PathBuf;
use std::time::Duration;

use super::step::Step;
use super::survey::{CONDUIT_MODE, Kind, ORIG_MODE, Seen, Survey};

/// What is to be installed.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// millrace-qmail-queue.
    pub(super) program: Seen,
    /// The group that is nobody's but the conduit's.
    pub(super) group: u32,
    /// Files that it reads and users must not: the TLS key.
    pub(super) secrets: Vec<PathBuf>,
    /// Its own file.
    pub(super) configuration: PathBuf,
    /// The file that it logs to.
    pub(super) log: Option<PathBuf>,
}

/// Why there is no way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "qmail's own qmail-queue is nowhere to be found under {}: install it anew (as `make setup` of qmail does), then run \
     this again", home.display()
)]
pub(super) struct Impossible {
    home: PathBuf,
}

/// What is missing of an installation, in the order in which it is done: what callers see comes last.
pub(super) fn install(survey: &Survey, wanted: &Wanted) -> Result<Vec<Step>, Impossible> {
    let original = original(survey)?;
    let mut steps = Vec::new();
    if survey.saved_folder.kind != Kind::Folder
        || (survey.saved_folder.owner, survey.saved_folder.mode) != (0, 0o700)
    {
        steps.push(Step::Folder(survey.saved_folder.path.clone()));
    }
    if survey.saved.inode != original.inode {
        steps.push(Step::Link {
            from: original.path.clone(),
            to: survey.saved.path.clone(),
        });
    }
    let orig = &survey.orig;
    let sound = orig.kind == Kind::Program
        && (orig.owner, orig.group, orig.mode) == (original.owner, wanted.group, ORIG_MODE)
        && orig.same_content(original);
    if !sound {
        steps.push(Step::Copy {
            // By its second name: the first may be the very name that is replaced.
            from: survey.saved.path.clone(),
            to: orig.path.clone(),
            owner: original.owner,
            group: wanted.group,
            mode: ORIG_MODE,
        });
    }
    steps.extend(permissions(wanted));
    let live = &survey.live;
    let sound = live.kind == Kind::Conduit
        && (live.owner, live.group, live.mode) == (0, wanted.group, CONDUIT_MODE)
        && live.same_content(&wanted.program);
    if !sound {
        steps.push(Step::Copy {
            from: wanted.program.path.clone(),
            to: live.path.clone(),
            owner: 0,
            group: wanted.group,
            mode: CONDUIT_MODE,
        });
    }
    steps.extend(leftovers(survey, &steps));
    Ok(steps)
}

/// Puts the original back, and takes away what is ours. The configuration stays.
pub(super) fn uninstall(survey: &Survey, patience: Duration) -> Result<Vec<Step>, Impossible> {
    let original = original(survey)?;
    let mut steps = Vec::new();
    if survey.live.inode != original.inode {
        steps.push(Step::Link {
            from: original.path.clone(),
            to: survey.live.path.clone(),
        });
    }
    if survey.orig.kind != Kind::Nothing {
        steps.push(Step::Wait {
            live: survey.live.path.clone(),
            original: original.inode,
            patience,
        });
        steps.push(Step::Remove(survey.orig.path.clone()));
    }
    if survey.saved.kind != Kind::Nothing {
        steps.push(Step::Remove(survey.saved.path.clone()));
    }
    steps.extend(leftovers(survey, &steps));
    if survey.saved_folder.kind == Kind::Folder {
        steps.push(Step::RemoveFolder(survey.saved_folder.path.clone()));
    }
    Ok(steps)
}

fn original(survey: &Survey) -> Result<&Seen, Impossible> {
    survey.original().ok_or_else(|| Impossible {
        home: survey.home.clone(),
    })
}

/// The conduit reads its file and its key, and writes its log, by its group.
fn permissions(wanted: &Wanted) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut permit = |path: &PathBuf, mode, create| {
        let seen = Seen::look(path.clone()).ok();
        let sound = |seen: &Seen| {
            seen.kind != Kind::Nothing && (seen.group, seen.mode) == (wanted.group, mode)
        };
        if !seen.as_ref().is_some_and(sound) {
            steps.push(Step::Permit {
                path: path.clone(),
                group: wanted.group,
                mode,
                create,
            });
        }
    };
    for secret in &wanted.secrets {
        permit(secret, 0o640, false);
    }
    // Lines of .qmail files read it as well; it has no secrets.
    permit(&wanted.configuration, 0o644, false);
    if let Some(log) = &wanted.log {
        permit(log, 0o660, true);
    }
    steps
}

/// What an interrupted run left and no step will use.
fn leftovers(survey: &Survey, steps: &[Step]) -> Vec<Step> {
    let used = |path: &PathBuf| {
        steps.iter().any(|step| match step {
            Step::Link { to, .. } | Step::Copy { to, .. } => super::step::temporary(to) == *path,
            _ => false,
        })
    };
    let unused = survey.leftovers.iter().filter(|path| !used(path));
    unused.cloned().map(Step::Remove).collect()
}
