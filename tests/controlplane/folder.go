package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// folder is the data folder of a cluster. All that a restart needs is in it:
//
//	cluster.json   name and ports, so that an old kubeconfig still works after a restart
//	pki/           authority, certificates, keys of service accounts, kubeconfigs
//	etcd/          the objects
//	log/           COMPONENT.log of each component
//	pids/          COMPONENT.pid of each component that runs
//	lock           held by up and all its children
type folder string

// identity is what stays the same for the whole life of a cluster.
type identity struct {
	Name  string `json:"name"`
	Ports ports  `json:"ports"`
}

// ports on 127.0.0.1 that the components listen on.
type ports struct {
	Etcd int `json:"etcd"`
	Peer int `json:"peer"`
	API  int `json:"api"`
	Logs int `json:"logs"`
}

func (f folder) path(part ...string) string {
	return filepath.Join(append([]string{string(f)}, part...)...)
}

func openFolder(path string) (folder, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	f := folder(absolute)
	for _, name := range []string{"etcd", "log", "pids"} {
		if err := os.MkdirAll(f.path(name), 0o700); err != nil {
			return "", fmt.Errorf("making the data folder: %w", err)
		}
	}
	return f, nil
}

// lock waits until no process of an earlier start is left. The children inherit the lock,
// hence it is free only when the last of them is gone, however their parent ended.
func (f folder) lock(limit time.Duration) (*os.File, error) {
	file, err := os.OpenFile(f.path("lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return file, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) || time.Now().After(deadline) {
			file.Close()
			return nil, fmt.Errorf("another control plane runs in %s: %w", f, err)
		}
	}
}

// identity returns the identity that the folder has, or gives it one.
func (f folder) identity(name string) (identity, error) {
	content, err := os.ReadFile(f.path("cluster.json"))
	if errors.Is(err, fs.ErrNotExist) {
		chosen := identity{Name: name}
		if chosen.Ports, err = choosePorts(); err != nil {
			return identity{}, err
		}
		content, err := json.Marshal(chosen)
		if err != nil {
			return identity{}, err
		}
		return chosen, replaceFile(f.path("cluster.json"), append(content, '\n'))
	}
	if err != nil {
		return identity{}, err
	}
	var kept identity
	if err := json.Unmarshal(content, &kept); err != nil {
		return identity{}, fmt.Errorf("reading %s: %w", f.path("cluster.json"), err)
	}
	if kept.Name != name {
		return identity{}, fmt.Errorf("%s holds the cluster %q, not %q", f, kept.Name, name)
	}
	for _, port := range []int{kept.Ports.Etcd, kept.Ports.Peer, kept.Ports.API, kept.Ports.Logs} {
		if !free(port) {
			return identity{}, fmt.Errorf("port %d, which the cluster %q had, is now taken by another process", port, name)
		}
	}
	return kept, nil
}

// Ports are chosen from below the range that systems give to outgoing connections (32768 and up), so that
// no connection takes a component's port while that component is started again.
const lowestPort, highestPort = 20000, 32000

func choosePorts() (ports, error) {
	taken := map[int]bool{}
	choose := func() int {
		for range 1000 {
			port := lowestPort + rand.IntN(highestPort-lowestPort)
			if !taken[port] && free(port) {
				taken[port] = true
				return port
			}
		}
		return 0
	}
	p := ports{Etcd: choose(), Peer: choose(), API: choose(), Logs: choose()}
	if len(taken) < 4 {
		return ports{}, fmt.Errorf("no free ports from %d to %d", lowestPort, highestPort)
	}
	return p, nil
}

func free(port int) bool {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	return listener.Close() == nil
}

// replaceFile writes a file so that a reader sees either the old or the new content.
func replaceFile(path string, content []byte) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}
