//go:build brokenrecovery

package arbiter

const hasty = true
