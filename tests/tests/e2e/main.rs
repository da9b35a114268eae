//! Real guests and native services in a real server behind real sockets. Each test is a fact that its name
//! states.
#![forbid(unsafe_code)]

#[cfg(unix)]
mod access;
mod budgets;
mod clients;
mod compression;
mod conformance;
mod connecting;
mod drain;
mod durability;
mod examples;
mod extensions;
mod failures;
mod files;
mod fuzzing;
mod heaps;
mod heartbeat;
mod hibernation;
mod http;
mod life;
mod limits;
mod listeners;
mod load;
mod messages;
mod metrics;
mod microcontroller;
mod native_failures;
mod operating;
mod operator;
mod origins;
mod playground;
mod protocol;
mod proxies;
mod replacement;
mod rooms;
mod scheduling;
mod sdk;
mod sessions;
mod shutdown;
mod slow_clients;
mod strangers;
mod subprotocols;
mod threads;
mod timers;
mod tls;
