// Package check has no code, only tests: of events as others see them. The signature of webhooks is verified by the
// library that the Standard Webhooks publish, events are read by the SDK of CloudEvents, and a real NATS server stores
// what the sink for JetStream publishes.
package check
