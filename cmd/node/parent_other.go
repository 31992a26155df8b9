//go:build !linux

package main

import "syscall"

// endsWithParent can do nothing of what it does on Linux.
func endsWithParent() *syscall.SysProcAttr { return nil }
