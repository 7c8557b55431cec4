//! One peer's way to the server: ICE-lite, DTLS and SRTP without sockets.
