package main

import "syscall"

// endsWithParent has a process end in order when this one dies, and keeps the terminal's signals from it.
func endsWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
}
