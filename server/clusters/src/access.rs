//! How a cluster is reached: the text of a kubeconfig and the context to use.

use std::fmt;

use zeroize::Zeroizing;

/// A kubeconfig and the context chosen in it. The text is a credential: it is never printed, and wiped when dropped.
#[derive(Clone)]
pub struct Access {
    kubeconfig: Zeroizing<String>,
    context: Option<String>,
}

impl Access {
    /// Takes the text of a kubeconfig; without a context its `current-context` is used.
    ///
    /// Nothing is checked yet, see [`crate::kubeconfig::validate`].
    pub fn new(kubeconfig: impl Into<String>, context: Option<String>) -> Self {
        Self { kubeconfig: Zeroizing::new(kubeconfig.into()), context }
    }

    /// The context chosen by the caller, if any.
    pub fn context(&self) -> Option<&str> {
        self.context.as_deref()
    }

    /// The secret text.
    pub(crate) fn kubeconfig(&self) -> &str {
        &self.kubeconfig
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("kubeconfig", &"(secret)").field("context", &self.context).finish()
    }
}
