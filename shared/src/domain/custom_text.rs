//! Custom text: what the texts of one verification say in place of the app's settings.

/// Values of one verification's texts; `None`: that of the app.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct CustomText {
    /// The name in the text. The sender does not change.
    pub brand: Option<String>,
    /// The SMS Retriever hash of the Android app.
    pub android_hash: Option<String>,
}
