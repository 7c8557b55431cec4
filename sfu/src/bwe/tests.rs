//! The whole estimator on links in virtual time.

mod hostile;
mod links;
mod world;

use super::*;

#[test]
fn nothing_sent_nothing_to_do() {
    let estimator = Estimator::new();
    assert_eq!(estimator.poll_timeout(), None);
    assert_eq!(estimator.estimate(), START);
}
