//! How this binary comes to a server as its clients do: by name and port, over TLS as browsers believe it. The doctor and the
//! load generator are such visitors; what they may is what anybody may.

pub mod http;
pub mod tls;
