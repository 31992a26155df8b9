//go:build !brokenrecovery

package arbiter

// hasty breaks the recovery. It is for tests that have to find that: nodes with the build tag brokenrecovery have it.
const hasty = false
