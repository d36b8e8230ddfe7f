//! What a trial sends, as the command line gives it.

use otp::domain::channel::Channel;
use otp::domain::device::Device;

/// What to send.
pub(crate) struct Message {
    pub(crate) carrier: String,
    /// As given.
    pub(crate) to: String,
    pub(crate) channel: Channel,
    pub(crate) locale: Option<String>,
    pub(crate) device: Option<Device>,
    pub(crate) app: String,
}
