package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// children are the components' processes. One that dies is started again; all die with this process, even
// when it is killed. The id of each that runs is in its .pid file, for tests that kill, stop or continue it.
type children struct {
	folder folder
	lock   *os.File // inherited by each
	ended  chan struct{}
	group  sync.WaitGroup
	mutex  sync.Mutex
	pids   map[string]int
}

func newChildren(f folder, lock *os.File) *children {
	return &children{folder: f, lock: lock, ended: make(chan struct{}), pids: map[string]int{}}
}

// start runs a component of this executable from now to the end.
func (c *children) start(component string, flags ...string) error {
	log, err := os.OpenFile(c.folder.path("log", component+".log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	started := make(chan error, 1)
	c.group.Go(func() {
		defer log.Close()
		runtime.LockOSThread() // a child's death signal is bound to the thread that started it
		for {
			child, err := c.spawn(component, flags, log)
			select {
			case started <- err:
			default:
			}
			if err == nil {
				fmt.Fprintf(log, "%s ended: %v\n", component, c.wait(component, child))
			}
			select {
			case <-c.ended:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
	return <-started
}

// spawn starts the process, unless the end has come.
func (c *children) spawn(component string, flags []string, log *os.File) (*exec.Cmd, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	select {
	case <-c.ended:
		return nil, os.ErrProcessDone
	default:
	}
	child := exec.Command("/proc/self/exe", flags...)
	child.Args = append([]string{"controlplane", component}, flags...)
	child.Stdout, child.Stderr, child.ExtraFiles = log, log, []*os.File{c.lock}
	child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := child.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", component, err)
	}
	c.pids[component] = child.Process.Pid
	return child, replaceFile(c.pidFile(component), fmt.Appendln(nil, child.Process.Pid))
}

func (c *children) wait(component string, child *exec.Cmd) error {
	err := child.Wait()
	c.mutex.Lock()
	defer c.mutex.Unlock()
	delete(c.pids, component)
	os.Remove(c.pidFile(component))
	return err
}

func (c *children) pidFile(component string) string {
	return c.folder.path("pids", component+".pid")
}

// end kills all. A killed etcd loses nothing that it acknowledged: what it wrote is with the system.
func (c *children) end() {
	c.mutex.Lock()
	close(c.ended)
	for _, pid := range c.pids {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	c.mutex.Unlock()
	c.group.Wait()
}
