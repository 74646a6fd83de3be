//! The bits of option negotiation.

use std::fmt;
use std::ops::{BitAnd, BitOr};

/// What a filter may do to a message: libmilter's `SMFIF_*`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Actions(pub u32);

/// Which steps are sent, which are answered, and how: libmilter's `SMFIP_*`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Steps(pub u32);

impl Actions {
    /// No action.
    pub const NONE: Self = Self(0);
    /// `SMFIF_ADDHDRS`: add and insert headers.
    pub const ADD_HEADERS: Self = Self(0x1);
    /// `SMFIF_CHGBODY`: replace the body.
    pub const CHANGE_BODY: Self = Self(0x2);
    /// `SMFIF_ADDRCPT`: add recipients.
    pub const ADD_RECIPIENT: Self = Self(0x4);
    /// `SMFIF_DELRCPT`: delete recipients.
    pub const DELETE_RECIPIENT: Self = Self(0x8);
    /// `SMFIF_CHGHDRS`: change and delete headers.
    pub const CHANGE_HEADERS: Self = Self(0x10);
    /// `SMFIF_QUARANTINE`: put the message into the mail server's hold.
    pub const QUARANTINE: Self = Self(0x20);
    /// `SMFIF_CHGFROM`: change the envelope sender.
    pub const CHANGE_SENDER: Self = Self(0x40);
    /// `SMFIF_ADDRCPT_PAR`: add recipients with ESMTP parameters.
    pub const ADD_RECIPIENT_PARAMETERS: Self = Self(0x80);
    /// `SMFIF_SETSYMLIST`: say which macros are wanted.
    pub const SET_MACROS: Self = Self(0x100);
    /// All that protocol version 6 has.
    pub const ALL: Self = Self(0x1ff);

    /// Whether all of these bits are set.
    #[must_use]
    pub fn contains(self, bits: Self) -> bool {
        self.0 & bits.0 == bits.0
    }
}

impl Steps {
    /// Everything is sent, everything is answered.
    pub const NONE: Self = Self(0);
    /// `SMFIP_NOCONNECT`.
    pub const NO_CONNECT: Self = Self(0x1);
    /// `SMFIP_NOHELO`.
    pub const NO_HELO: Self = Self(0x2);
    /// `SMFIP_NOMAIL`.
    pub const NO_MAIL: Self = Self(0x4);
    /// `SMFIP_NORCPT`.
    pub const NO_RCPT: Self = Self(0x8);
    /// `SMFIP_NOBODY`.
    pub const NO_BODY: Self = Self(0x10);
    /// `SMFIP_NOHDRS`.
    pub const NO_HEADERS: Self = Self(0x20);
    /// `SMFIP_NOEOH`.
    pub const NO_END_OF_HEADERS: Self = Self(0x40);
    /// `SMFIP_NR_HDR`: headers are not answered.
    pub const QUIET_HEADER: Self = Self(0x80);
    /// `SMFIP_NOUNKNOWN`.
    pub const NO_UNKNOWN: Self = Self(0x100);
    /// `SMFIP_NODATA`.
    pub const NO_DATA: Self = Self(0x200);
    /// `SMFIP_SKIP`: the mail server understands SKIP.
    pub const SKIP: Self = Self(0x400);
    /// `SMFIP_RCPT_REJ`: refused recipients are sent too.
    pub const REJECTED_RCPT: Self = Self(0x800);
    /// `SMFIP_NR_CONN`.
    pub const QUIET_CONNECT: Self = Self(0x1000);
    /// `SMFIP_NR_HELO`.
    pub const QUIET_HELO: Self = Self(0x2000);
    /// `SMFIP_NR_MAIL`.
    pub const QUIET_MAIL: Self = Self(0x4000);
    /// `SMFIP_NR_RCPT`.
    pub const QUIET_RCPT: Self = Self(0x8000);
    /// `SMFIP_NR_DATA`.
    pub const QUIET_DATA: Self = Self(0x1_0000);
    /// `SMFIP_NR_UNKN`.
    pub const QUIET_UNKNOWN: Self = Self(0x2_0000);
    /// `SMFIP_NR_EOH`.
    pub const QUIET_END_OF_HEADERS: Self = Self(0x4_0000);
    /// `SMFIP_NR_BODY`.
    pub const QUIET_BODY: Self = Self(0x8_0000);
    /// `SMFIP_HDR_LEADSPC`: header values carry their leading blanks, both ways.
    pub const LEADING_SPACE: Self = Self(0x10_0000);
    /// `SMFIP_MDS_256K`: body chunks of up to 262,143 bytes.
    pub const CHUNKS_256K: Self = Self(0x1000_0000);
    /// `SMFIP_MDS_1M`: body chunks of up to 1,048,575 bytes.
    pub const CHUNKS_1M: Self = Self(0x2000_0000);
    /// All that protocol version 6 has, without the chunk sizes.
    pub const ALL: Self = Self(0x1f_ffff);

    /// Whether all of these bits are set.
    #[must_use]
    pub fn contains(self, bits: Self) -> bool {
        self.0 & bits.0 == bits.0
    }
}

impl BitOr for Actions {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Actions {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl BitOr for Steps {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Steps {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl fmt::Debug for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Actions({:#x})", self.0)
    }
}

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Steps({:#x})", self.0)
    }
}
