//! A straggler-tolerant synchronisation barrier for distributed training.
