package fleet

import (
	"os/exec"
	"runtime"
	"sync"
)

// spawner starts processes on one thread that never ends: on Linux a process that is to be killed with its
// parent is killed when the thread ends that has started it.
var spawner = sync.OnceValue(func() chan<- func() {
	todo := make(chan func())
	go func() { // for as long as this process lives
		runtime.LockOSThread()
		for do := range todo {
			do()
		}
	}()
	return todo
})

// spawn starts a process that ends with this one, on one processor (from 1 on; 0: any).
func spawn(command *exec.Cmd, cpu int) error {
	command.SysProcAttr = attributes()
	started := make(chan error)
	spawner() <- func() { started <- onProcessor(cpu, command.Start) }
	return <-started
}
