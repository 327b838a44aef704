package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

type options struct {
	data, name     string
	architecture   string // one or more, separated by commas
	nodes          int
	delay          time.Duration
	durable, trust bool
}

// ready is the one line of JSON on standard output.
type ready struct {
	Name         string `json:"name"`
	Server       string `json:"server"`       // URL of the API server
	Kubeconfig   string `json:"kubeconfig"`   // file, of a user in system:masters
	Pids         string `json:"pids"`         // folder with COMPONENT.pid
	Log          string `json:"log"`          // folder with COMPONENT.log
	Milliseconds int64  `json:"milliseconds"` // from the start until usable
}

func upCommand() *cobra.Command {
	var o options
	command := &cobra.Command{Use: "up", Short: "start a control plane and its played nodes", Args: cobra.NoArgs, SilenceUsage: true,
		Long: "Starts a control plane and its played nodes, prints one line of JSON when pods can be created,\n" +
			"and runs until standard input closes, the parent process ends, or SIGTERM or SIGINT comes.",
		RunE: func(command *cobra.Command, _ []string) error { return up(command.Context(), o) }}
	command.Flags().StringVar(&o.data, "data", "", "folder for state, certificates and logs (required); a second start continues it")
	command.Flags().StringVar(&o.name, "name", "test", "name of the cluster in its kubeconfig")
	command.Flags().StringVar(&o.architecture, "architecture", "amd64", "architecture of the nodes; several, separated by commas, take turns")
	command.Flags().IntVar(&o.nodes, "nodes", 3, "number of nodes, 1 to 100")
	command.Flags().DurationVar(&o.delay, "delay", 200*time.Millisecond, "time a pod takes from bound to running")
	command.Flags().BoolVar(&o.trust, "trust", false, "take images of registries that are not on this machine for pulled")
	command.Flags().BoolVar(&o.durable, "durable", false, "let etcd wait for the disk, to survive a crash of the machine")
	if err := command.MarkFlagRequired("data"); err != nil {
		panic(err) // the flag is declared above
	}
	return command
}

// validate refuses bad flags before anything is written.
func (o options) validate() error {
	if o.nodes < 1 || o.nodes > 100 {
		return fmt.Errorf("--nodes is %d, must be from 1 to 100", o.nodes)
	}
	if o.delay < 0 {
		return fmt.Errorf("--delay is %s, must not be negative", o.delay)
	}
	if o.name == "" || strings.ContainsAny(o.name, "=, \t\n/") {
		return fmt.Errorf("--name is %q, must be a plain name", o.name)
	}
	if slices.Contains(strings.Split(o.architecture, ","), "") {
		return fmt.Errorf("--architecture is %q, must be names separated by commas", o.architecture)
	}
	return nil
}

// up runs a cluster from its start to its end.
func up(ctx context.Context, o options) error {
	begun := time.Now()
	if err := o.validate(); err != nil {
		return err
	}
	ctx, stop := untilEnd(ctx)
	defer stop()
	data, err := openFolder(o.data)
	if err != nil {
		return err
	}
	lock, err := data.lock(15 * time.Second)
	if err != nil {
		return err
	}
	defer lock.Close()
	cluster, err := data.identity(o.name)
	if err != nil {
		return err
	}
	server := fmt.Sprintf("https://127.0.0.1:%d", cluster.Ports.API)
	keys, err := keysOf(data.path("pki"), cluster.Name, server)
	if err != nil {
		return err
	}
	children := newChildren(data, lock)
	defer children.end()
	if err := o.startAll(ctx, children, cluster, keys); err != nil {
		if ctx.Err() != nil {
			return nil // asked to end before it was ready
		}
		return fmt.Errorf("%w (see %s)", err, data.path("log"))
	}
	if err := json.NewEncoder(os.Stdout).Encode(ready{Name: cluster.Name, Server: server, Kubeconfig: keys.kubeconfig("admin"),
		Pids: data.path("pids"), Log: data.path("log"), Milliseconds: time.Since(begun).Milliseconds()}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// untilEnd returns a context that ends with standard input, with the parent process, or by a signal.
func untilEnd(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	// The system's own death signal (prctl) is no good here: it comes with the end of the thread that
	// started this process, and threads of a test end before the test does.
	parent := os.Getppid()
	if watch, err := unix.PidfdOpen(parent, 0); err == nil && os.Getppid() == parent {
		go func() {
			for {
				_, err := unix.Poll([]unix.PollFd{{Fd: int32(watch), Events: unix.POLLIN}}, -1)
				if err != unix.EINTR {
					break
				}
			}
			cancel()
		}()
	}
	return ctx, cancel
}

// startAll starts the components in their order and waits until the cluster is usable.
func (o options) startAll(ctx context.Context, children *children, cluster identity, keys keys) error {
	begun := time.Now()
	etcd, peer := fmt.Sprintf("http://127.0.0.1:%d", cluster.Ports.Etcd), fmt.Sprintf("http://127.0.0.1:%d", cluster.Ports.Peer)
	if err := children.start("etcd", "--name="+cluster.Name, "--data-dir="+children.folder.path("etcd"),
		"--listen-client-urls="+etcd, "--advertise-client-urls="+etcd, "--listen-peer-urls="+peer,
		"--initial-advertise-peer-urls="+peer, "--initial-cluster="+cluster.Name+"="+peer,
		fmt.Sprintf("--unsafe-no-fsync=%t", !o.durable), "--log-level=warn"); err != nil {
		return err
	}
	if err := children.start("kube-apiserver", "--etcd-servers="+etcd, "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", cluster.Ports.API), "--tls-cert-file="+keys.path("apiserver.crt"), "--tls-private-key-file="+keys.path("apiserver.key"),
		"--client-ca-file="+keys.path("ca.crt"), "--authorization-mode=RBAC", "--service-cluster-ip-range=10.96.0.0/16",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+keys.path("accounts.pub"),
		"--service-account-signing-key-file="+keys.path("accounts.key"), "--endpoint-reconciler-type=none",
		"--kubelet-client-certificate="+keys.path("admin.crt"), "--kubelet-client-key="+keys.path("admin.key"),
		"--kubelet-certificate-authority="+keys.path("ca.crt"), "--kubelet-preferred-address-types=InternalIP", "--profiling=false"); err != nil {
		return err
	}
	client, err := connect(keys.kubeconfig("admin"))
	if err != nil {
		return err
	}
	if err := eventually(ctx, time.Minute, func(ctx context.Context) error {
		return client.RESTClient().Get().AbsPath("/readyz").Timeout(5 * time.Second).Do(ctx).Error()
	}); err != nil {
		return fmt.Errorf("the API server is not ready: %w", err)
	}
	for _, start := range [][]string{
		{"kube-controller-manager", "--kubeconfig=" + keys.kubeconfig("controller-manager"), "--secure-port=0", "--leader-elect=false",
			"--use-service-account-credentials", "--service-account-private-key-file=" + keys.path("accounts.key"), "--root-ca-file=" + keys.path("ca.crt"),
			"--kube-api-qps=500", "--kube-api-burst=1000", "--concurrent-deployment-syncs=20", "--concurrent-replicaset-syncs=20", "--profiling=false"},
		{"kube-scheduler", "--kubeconfig=" + keys.kubeconfig("scheduler"), "--secure-port=0", "--leader-elect=false",
			"--kube-api-qps=500", "--kube-api-burst=1000", "--profiling=false"},
		{"kubelets", "--kubeconfig=" + keys.kubeconfig("admin"), "--certificate=" + keys.path("kubelet.crt"), "--key=" + keys.path("kubelet.key"),
			"--authority=" + keys.path("ca.crt"), fmt.Sprintf("--port=%d", cluster.Ports.Logs), "--architecture=" + o.architecture,
			fmt.Sprintf("--trust=%t", o.trust), fmt.Sprintf("--nodes=%d", o.nodes), "--delay=" + o.delay.String()},
	} {
		if err := children.start(start[0], start[1:]...); err != nil {
			return err
		}
	}
	if err := eventually(ctx, time.Minute, func(ctx context.Context) error { return usable(ctx, client, o.nodes, begun) }); err != nil {
		return fmt.Errorf("the cluster is not usable: %w", err)
	}
	return nil
}

// usable says whether pods can be created, would be scheduled and get run: the nodes that an earlier start left
// count only when their kubelets have renewed their leases since.
func usable(ctx context.Context, client *kubernetes.Clientset, nodes int, since time.Time) error {
	if _, err := client.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{}); err != nil {
		return err
	}
	list, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	leases, err := client.CoordinationV1().Leases(core.NamespaceNodeLease).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	renewed := map[string]bool{}
	for _, lease := range leases.Items {
		renewed[lease.Name] = lease.Spec.RenewTime != nil && lease.Spec.RenewTime.After(since)
	}
	ready := 0
	for _, node := range list.Items {
		if len(node.Spec.Taints) == 0 && isNodeReady(&node) && renewed[node.Name] {
			ready++
		}
	}
	if ready < nodes {
		return fmt.Errorf("%d of %d nodes are ready", ready, nodes)
	}
	return nil
}

func connect(kubeconfig string) (*kubernetes.Clientset, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = 1000, 2000
	return kubernetes.NewForConfig(config)
}
