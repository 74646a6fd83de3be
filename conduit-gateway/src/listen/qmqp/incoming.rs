//! A message on its way in, within the limits: its content to memory or the spool, its envelope beside it.

use bytes::{Bytes, BytesMut};
use millrace_client::Content;
use millrace_qmail::qmqp::{Malformed, Part, RequestDecoder};
use millrace_qmail::{Envelope, Received};

use crate::failure::{Failure, FailureAction, FailureKind};
use crate::gateway::{Client, Shared};
use crate::metrics::GatewayMetrics;
use crate::spool::Spool;

/// What has come of a request.
pub(super) struct Incoming {
    decoder: RequestDecoder,
    spool: Spool,
    metrics: GatewayMetrics,
    held: BytesMut,
    whole: Bytes,
    beginning: Vec<u8>,
    sender: Bytes,
    recipients: Vec<Bytes>,
    /// Memory of the envelope, about.
    envelope_bytes: usize,
    size: u64,
    limit: Option<u64>,
    failed: Option<Failure>,
    /// Whether a message that fails is kept nevertheless: it will be passed on unjudged.
    keeps: KeepsFailed,
    kept: bool,
    complete: bool,
}

/// By kind of failure, whether the failure table passes such messages on.
struct KeepsFailed {
    oversize: bool,
    overload: bool,
}

/// Room for what a client sends in one go.
const READ: usize = 64 << 10;
/// What is gathered in memory before it goes on to the spool.
const BATCH: usize = 256 << 10;
/// Memory of a recipient besides its address, about.
const RECIPIENT_OVERHEAD: usize = 128;
/// An envelope that takes more memory than this is none: about 250,000 recipients.
const LARGEST_ENVELOPE: usize = 64 << 20;

impl Incoming {
    pub(super) fn new(shared: &Shared, client: &Client, doom: Option<Failure>) -> Self {
        let plan = client.plans.current();
        let policy = plan.and_then(|current| current.plan.size_limit);
        let limit = [policy, client.config.message_size]
            .into_iter()
            .flatten()
            .min();
        let config = &client.config;
        let passes = |kind| {
            let action = shared.failures.action(&config.name, config.direction, kind);
            action == FailureAction::AcceptAndStamp
        };
        let keeps = KeepsFailed {
            oversize: passes(FailureKind::Oversize),
            overload: passes(FailureKind::Overload),
        };
        Self {
            decoder: RequestDecoder::new(),
            spool: Spool::new(shared.spool.clone(), client.memory.clone()),
            metrics: client.metrics.all().clone(),
            held: BytesMut::new(),
            whole: Bytes::new(),
            beginning: Vec::new(),
            sender: Bytes::new(),
            recipients: Vec::new(),
            envelope_bytes: 0,
            size: 0,
            limit,
            kept: doom.is_none() || keeps.overload,
            failed: doom,
            keeps,
            complete: false,
        }
    }

    pub(super) fn space(&mut self) -> &mut BytesMut {
        let space = self.decoder.space();
        space.reserve(READ);
        space
    }

    pub(super) fn untouched(&self) -> bool {
        self.decoder.untouched()
    }

    /// Whether the request has come to its end.
    pub(super) fn whole(&self) -> bool {
        self.complete
    }

    pub(super) fn address_refused(&self) -> bool {
        self.decoder.address_refused()
    }

    /// Bytes of content.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The first bytes of the content: enough for its first line.
    pub(super) fn beginning(&self) -> &[u8] {
        &self.beginning
    }

    pub(super) fn envelope(&self) -> Envelope {
        Envelope {
            sender: self.sender.clone(),
            recipients: self.recipients.clone(),
        }
    }

    /// Why it will not be judged.
    pub(super) fn failed(&mut self) -> Option<Failure> {
        self.failed.take()
    }

    /// Whether its content is here.
    pub(super) fn is_kept(&self) -> bool {
        self.kept
    }

    /// Takes what has come.
    pub(super) async fn take(&mut self) -> Result<(), Malformed> {
        while let Some(part) = self.decoder.next_part()? {
            match part {
                Part::Begin(_) => {}
                Part::Content(piece) => self.content_piece(piece).await,
                Part::Sender(address) => {
                    self.envelope_bytes += address.len() + RECIPIENT_OVERHEAD;
                    self.sender = address;
                }
                Part::Recipient(address) => self.recipient(&address),
                Part::End => self.end().await,
            }
        }
        Ok(())
    }

    async fn content_piece(&mut self, piece: Bytes) {
        self.size += piece.len() as u64;
        let missing = Received::LONGEST - self.beginning.len();
        self.beginning
            .extend_from_slice(&piece[..piece.len().min(missing)]);
        if let Some(limit) = self.limit.filter(|&limit| self.size > limit)
            && self.failed.is_none()
        {
            let detail = format!("above the limit of {limit} bytes");
            self.fail(
                Failure::new(FailureKind::Oversize, detail),
                self.keeps.oversize,
            );
        }
        if !self.kept {
            return;
        }
        self.held.extend_from_slice(&piece);
        if self.held.len() >= BATCH && self.spool.hold(self.held.len() + self.envelope_bytes) {
            let held = self.held.split().freeze();
            self.write(held).await;
        }
    }

    fn recipient(&mut self, address: &Bytes) {
        self.envelope_bytes += address.len() + RECIPIENT_OVERHEAD;
        if self.envelope_bytes > LARGEST_ENVELOPE {
            if self.failed.is_none() {
                let detail = "the envelope is too large";
                self.fail(Failure::new(FailureKind::Oversize, detail), false);
            }
            self.kept = false;
            self.recipients = Vec::new();
            return;
        }
        // A piece of a read would keep all of it.
        self.recipients.push(Bytes::copy_from_slice(address));
    }

    async fn end(&mut self) {
        self.complete = true;
        if !self.kept {
            return;
        }
        let held = std::mem::take(&mut self.held).freeze();
        let spools = self.spool.hold(held.len() + self.envelope_bytes);
        if spools || self.spool.is_spooled() {
            self.write(held).await;
        } else {
            self.whole = held;
        }
    }

    async fn write(&mut self, piece: Bytes) {
        if !self.spool.is_spooled() {
            self.metrics.spooled();
        }
        if let Err(error) = self.spool.write(vec![piece]).await {
            // What could not be kept cannot be passed on.
            self.fail(error.into(), false);
        }
    }

    fn fail(&mut self, failure: Failure, kept: bool) {
        if !kept {
            self.kept = false;
            self.spool.clear();
            self.held = BytesMut::new();
        }
        self.failed = Some(failure);
    }

    /// The content, as it can be sent.
    pub(super) fn content(&mut self, read_back: bool) -> Result<Content, Failure> {
        Ok(self.spool.finish(self.whole.clone(), read_back)?)
    }
}
