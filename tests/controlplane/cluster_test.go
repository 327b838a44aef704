package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// The test binary is its own control plane: with the name of a component as first argument it is that component.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		dispatch()
	}
	status := m.Run()
	if shared.cluster != nil {
		shared.cluster.end()
		os.RemoveAll(shared.folder)
	}
	os.Exit(status)
}

// patience is how long a test waits for what must come. It comes within two seconds on a machine that is not busy.
const patience = 40 * time.Second

// cluster is a control plane of its own processes.
type cluster struct {
	ready
	client  *kubernetes.Clientset
	command *exec.Cmd
	input   io.Closer
	errors  *bytes.Buffer
}

// start runs `up` with the flags and waits until it says that it is ready.
func start(data string, flags ...string) (*cluster, error) {
	c := &cluster{command: exec.Command("/proc/self/exe", append([]string{"up", "--data=" + data}, flags...)...), errors: &bytes.Buffer{}}
	c.command.Stderr = c.errors
	input, err := c.command.StdinPipe()
	if err != nil {
		return nil, err
	}
	c.input = input
	output, err := c.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.command.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(output).ReadBytes('\n')
	if err != nil {
		c.end()
		return nil, fmt.Errorf("up did not get ready: %s", c.errors)
	}
	if err := json.Unmarshal(line, &c.ready); err != nil {
		return nil, err
	}
	c.client, err = connect(c.Kubeconfig)
	return c, err
}

// end closes standard input, which ends `up`, and waits for that.
func (c *cluster) end() error {
	c.input.Close()
	return c.command.Wait()
}

// pid of a component that runs.
func (c *cluster) pid(component string) (int, error) {
	content, err := os.ReadFile(filepath.Join(c.Pids, component+".pid"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(content)))
}

var shared struct {
	once    sync.Once
	folder  string
	cluster *cluster
	err     error
}

// sharedCluster is the one that most tests use, each in its namespace. It has two architectures: node-1 is arm64.
func sharedCluster(t *testing.T) *cluster {
	t.Helper()
	shared.once.Do(func() {
		if shared.folder, shared.err = os.MkdirTemp("", "controlplane-test-"); shared.err == nil {
			shared.cluster, shared.err = start(shared.folder, "--nodes=3", "--architecture=amd64,arm64")
		}
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.cluster
}

// room is a namespace of the shared cluster for one test.
type room struct {
	*testing.T
	*cluster
	context.Context
	namespace string
}

func enter(t *testing.T, labels map[string]string) room {
	t.Helper()
	t.Parallel()
	c := sharedCluster(t)
	made, err := c.client.CoreV1().Namespaces().Create(t.Context(), &core.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-", Labels: labels}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r := room{t, c, t.Context(), made.Name}
	r.await("the service account", func() error {
		_, err := c.client.CoreV1().ServiceAccounts(r.namespace).Get(r, "default", metav1.GetOptions{})
		return err
	})
	return r
}

func (r room) Deadline() (time.Time, bool)    { return r.Context.Deadline() }
func (r room) must(err error)                 { r.Helper(); must(r.T, err) }
func (r room) Value(key any) any              { return r.Context.Value(key) }
func (r room) await(w string, f func() error) { r.Helper(); await(r.T, w, f) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// await waits until check succeeds; what is for the message.
func await(t *testing.T, what string, check func() error) {
	t.Helper()
	if err := eventually(context.Background(), patience, func(context.Context) error { return check() }); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// pod creates a pod of containers c0, c1, ... with these images.
func (r room) pod(name string, change func(*core.Pod), images ...string) *core.Pod {
	r.Helper()
	pod := &core.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: core.PodSpec{NodeSelector: map[string]string{core.LabelArchStable: "amd64"}}}
	for i, image := range images {
		pod.Spec.Containers = append(pod.Spec.Containers, core.Container{Name: fmt.Sprintf("c%d", i), Image: image})
	}
	if change != nil {
		change(pod)
	}
	made, err := r.client.CoreV1().Pods(r.namespace).Create(r, pod, metav1.CreateOptions{})
	r.must(err)
	return made
}

// awaitPod waits until a pod is as it must be: check returns an empty string or what it is instead.
func (r room) awaitPod(name, what string, check func(*core.Pod) string) *core.Pod {
	r.Helper()
	var pod *core.Pod
	r.await("pod "+name+" must "+what, func() (err error) {
		if pod, err = r.client.CoreV1().Pods(r.namespace).Get(r, name, metav1.GetOptions{}); err != nil {
			return err
		}
		if wrong := check(pod); wrong != "" {
			return fmt.Errorf("%s", wrong)
		}
		return nil
	})
	return pod
}

func (r room) awaitReady(name string) *core.Pod {
	r.Helper()
	return r.awaitPod(name, "get ready", func(pod *core.Pod) string {
		if isReady(pod) {
			return ""
		}
		return summary(pod)
	})
}

// awaitWaiting waits until the first container of a pod waits for a reason.
func (r room) awaitWaiting(name, reason string) *core.Pod {
	r.Helper()
	return r.awaitPod(name, "wait with "+reason, func(pod *core.Pod) string {
		if len(pod.Status.ContainerStatuses) > 0 {
			if waiting := pod.Status.ContainerStatuses[0].State.Waiting; waiting != nil && waiting.Reason == reason && !isReady(pod) {
				return ""
			}
		}
		return summary(pod)
	})
}

func (r room) awaitPhase(name string, phase core.PodPhase) *core.Pod {
	r.Helper()
	return r.awaitPod(name, "be "+string(phase), func(pod *core.Pod) string {
		if pod.Status.Phase == phase {
			return ""
		}
		return summary(pod)
	})
}

// awaitEvent waits for an event of an object by its reason and a part of its message.
func (r room) awaitEvent(object, reason, part string) {
	r.Helper()
	r.await(fmt.Sprintf("%s must have an event %s: ...%s...", object, reason, part), func() error {
		list, err := r.client.CoreV1().Events(r.namespace).List(r, metav1.ListOptions{FieldSelector: "involvedObject.name=" + object})
		if err != nil {
			return err
		}
		seen := []string{}
		for _, event := range list.Items {
			if event.Reason == reason && strings.Contains(event.Message, part) {
				return nil
			}
			seen = append(seen, event.Reason+": "+event.Message)
		}
		return fmt.Errorf("has only %q", seen)
	})
}

func summary(pod *core.Pod) string {
	content, err := json.Marshal(pod.Status)
	if err != nil {
		return err.Error()
	}
	return string(content)
}

// alive says whether a process is there and not a zombie.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(content), ") ")
	return err == nil && !strings.HasPrefix(after, "Z")
}
