//! Arrival times for the sender's bandwidth estimate.
