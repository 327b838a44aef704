package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	authentication "k8s.io/api/authentication/v1"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// One cluster through its whole life: killed and stopped components, a killed parent, a restart, the end.
func TestClusterSurvivesWhatIsDoneToIt(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	c, err := start(data, "--name=life", "--nodes=1")
	must(t, err)
	t.Cleanup(func() { c.end() })
	asks := func(client *cluster) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := client.client.CoreV1().Namespaces().Get(ctx, "default", metav1.GetOptions{})
		return err
	}
	if c.Name != "life" || !strings.HasPrefix(c.Server, "https://127.0.0.1:") {
		t.Fatalf("ready says %+v", c.ready)
	}

	for _, component := range []string{"kube-apiserver", "etcd"} {
		before, err := c.pid(component)
		must(t, err)
		must(t, syscall.Kill(before, syscall.SIGKILL))
		await(t, component+" must be started again after a kill", func() error {
			if now, err := c.pid(component); err != nil || now == before {
				return fmt.Errorf("%s has the id %d, %v", component, now, err)
			}
			return asks(c)
		})
	}

	server, err := c.pid("kube-apiserver")
	must(t, err)
	must(t, syscall.Kill(server, syscall.SIGSTOP))
	if err := asks(c); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a stopped API server must not answer, got %v", err)
	}
	must(t, syscall.Kill(server, syscall.SIGCONT))
	await(t, "the API server must answer again", func() error { return asks(c) })

	_, err = c.client.CoreV1().ConfigMaps("default").Create(t.Context(), &core.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kept"}}, metav1.CreateOptions{})
	must(t, err)
	token, err := c.client.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), "default", &authentication.TokenRequest{}, metav1.CreateOptions{})
	must(t, err)
	must(t, c.command.Process.Kill()) // with a SIGKILL, it cannot end its children
	again, err := start(data, "--name=life", "--nodes=1")
	must(t, err)
	t.Cleanup(func() { again.end() })
	c.command.Wait()
	if again.Server != c.Server || again.Kubeconfig != c.Kubeconfig {
		t.Errorf("after the restart it is %+v, was %+v", again.ready, c.ready)
	}
	_, err = c.client.CoreV1().ConfigMaps("default").Get(t.Context(), "kept", metav1.GetOptions{}) // the old client
	must(t, err)
	review, err := again.client.AuthenticationV1().TokenReviews().Create(t.Context(), &authentication.TokenReview{Spec: authentication.TokenReviewSpec{Token: token.Status.Token}}, metav1.CreateOptions{})
	must(t, err)
	if !review.Status.Authenticated {
		t.Errorf("a token of before the restart must still be good: %+v", review.Status)
	}

	pids := map[string]int{}
	for _, component := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelets"} {
		pids[component], err = again.pid(component)
		must(t, err)
	}
	if err := again.end(); err != nil {
		t.Errorf("the end of standard input must end it well, got %v: %s", err, again.errors)
	}
	for component, pid := range pids {
		if alive(pid) {
			t.Errorf("%s is still there", component)
		}
	}
}

func TestUpEndsWithItsParent(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	fifo := filepath.Join(folder, "input")
	must(t, syscall.Mkfifo(fifo, 0o600))
	input, err := os.OpenFile(fifo, os.O_RDWR, 0) // it stays open: only the end of the parent can end it
	must(t, err)
	defer input.Close()
	self, err := os.Executable()
	must(t, err)
	parent := exec.Command("sh", "-c", `"$0" up --data "$1" <"$2" >/dev/null 2>&1 & echo $! >"$3"; wait`, self, filepath.Join(folder, "data"), fifo, filepath.Join(folder, "pid"))
	must(t, parent.Start())
	var pid int
	etcd := filepath.Join(folder, "data", "pids", "etcd.pid")
	await(t, "up must have started", func() error {
		content, err := os.ReadFile(filepath.Join(folder, "pid"))
		if err != nil {
			return err
		}
		if _, err := fmt.Sscan(string(content), &pid); err != nil {
			return err
		}
		_, err = os.Stat(etcd)
		return err
	})
	must(t, parent.Process.Kill())
	parent.Wait()
	await(t, "up must end", func() error {
		if alive(pid) {
			return fmt.Errorf("%d is still there", pid)
		}
		if _, err := os.Stat(etcd); err == nil {
			return fmt.Errorf("%s is still there", etcd)
		}
		return nil
	})
}

func TestUpRefusesBadFlags(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string][]string{
		`required flag(s) "data" not set`:  {},
		"--nodes is 0":                     {"--data", t.TempDir(), "--nodes=0"},
		`--name is "a/b"`:                  {"--data", t.TempDir(), "--name=a/b"},
		`--architecture is "amd64,"`:       {"--data", t.TempDir(), "--architecture=amd64,"},
		`unknown command "extra" for "up"`: {"--data", t.TempDir(), "extra"},
	} {
		output, err := exec.Command("/proc/self/exe", append([]string{"up"}, flags...)...).CombinedOutput()
		if err == nil || !strings.Contains(strings.ReplaceAll(string(output), `\"`, `"`), name) {
			t.Errorf("%v must be refused with %q, got %v: %s", flags, name, err, output)
		}
	}
}

func TestFolderKeepsItsIdentity(t *testing.T) {
	t.Parallel()
	f, err := openFolder(t.TempDir())
	must(t, err)
	first, err := f.identity("one")
	must(t, err)
	second, err := f.identity("one")
	must(t, err)
	if first != second || first.Ports.API == 0 || first.Ports.API >= 32768 {
		t.Errorf("was %+v, is %+v", first, second)
	}
	if _, err := f.identity("two"); err == nil || !strings.Contains(err.Error(), `holds the cluster "one"`) {
		t.Errorf("another name must be refused, got %v", err)
	}
	keys, err := keysOf(f.path("pki"), "one", "https://127.0.0.1:1")
	must(t, err)
	for _, file := range []string{"ca.crt", "accounts.key", "admin.kubeconfig"} {
		before, err := os.ReadFile(keys.path(file))
		must(t, err)
		_, err = keysOf(f.path("pki"), "one", "https://127.0.0.1:1")
		must(t, err)
		if after, err := os.ReadFile(keys.path(file)); err != nil || string(after) != string(before) {
			t.Errorf("%s has changed, %v", file, err)
		}
	}
}

func TestFolderIsLockedUntilItIsLeft(t *testing.T) {
	t.Parallel()
	f, err := openFolder(t.TempDir())
	must(t, err)
	held, err := f.lock(0)
	must(t, err)
	if _, err := f.lock(0); err == nil || !strings.Contains(err.Error(), "another control plane runs in") {
		t.Errorf("a second start must be refused, got %v", err)
	}
	must(t, held.Close())
	again, err := f.lock(0)
	must(t, err)
	again.Close()
}

func TestOnlyThisMachineIsLoopback(t *testing.T) {
	t.Parallel()
	for registry, is := range map[string]bool{"localhost": true, "localhost:5000": true, "127.0.0.1:5000": true, "127.1.2.3": true, "[::1]:5000": true,
		"library.localhost:80": true, "index.docker.io": false, "10.0.0.1:5000": false, "localhost.example.com": false, "registry.local:5000": false} {
		if isLoopback(registry) != is {
			t.Errorf("%s: %t", registry, !is)
		}
	}
}

func TestBuildSaysWhichGoItNeeds(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{"Go is not installed": "", "Go 1.20.1 is installed": "#!/bin/sh\necho go1.20.1\n"} {
		folder := t.TempDir()
		for _, tool := range []string{"bash", "dirname", "sed", "sort", "head"} {
			path, err := exec.LookPath(tool)
			must(t, err)
			must(t, os.Symlink(path, filepath.Join(folder, tool)))
		}
		if script != "" {
			must(t, os.WriteFile(filepath.Join(folder, "go"), []byte(strings.Replace(script, "/bin/sh", filepath.Join(folder, "bash"), 1)), 0o700))
		}
		command := exec.Command("./build")
		command.Path, command.Args = filepath.Join(folder, "bash"), []string{"bash", "build"}
		command.Env = []string{"PATH=" + folder, "HOME=" + folder, "ROPEWAY_CACHE=" + filepath.Join(folder, "cache")}
		output, err := command.CombinedOutput()
		if code := command.ProcessState.ExitCode(); code != 3 || !strings.Contains(string(output), name) {
			t.Errorf("must end with 3 and %q, got %d, %v: %s", name, code, err, output)
		}
	}
}
