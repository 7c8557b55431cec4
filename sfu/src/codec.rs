//! What must be known of payloads to forward them.
