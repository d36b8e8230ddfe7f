//! Messages of the queue. Invariants: no panic; what is read is the same when it is written and
//! read again.

use otp::platform::queue::{Dispatch, FeedbackDispatch};
use serde_json::json;

/// Reads one input.
pub fn run(input: &[u8]) {
    let Ok(body) = std::str::from_utf8(input) else {
        return;
    };
    if let Some(dispatch) = Dispatch::parse(body) {
        let id = dispatch.id.to_string();
        let written = json!({"v": 1, "app": dispatch.app, "id": id, "step": dispatch.step});
        assert_eq!(Dispatch::parse(&written.to_string()), Some(dispatch));
    }
    if let Some(dispatch) = FeedbackDispatch::parse(body) {
        let written = json!({
            "v": 1,
            "app": dispatch.app,
            "id": dispatch.id.to_string(),
            "feedback_tag": dispatch.tag.to_string(),
            "carrier": dispatch.carrier,
            "message_id": dispatch.message_id,
        });
        assert_eq!(
            FeedbackDispatch::parse(&written.to_string()),
            Some(dispatch)
        );
    }
}
