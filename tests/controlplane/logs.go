package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
)

// listen serves the logs of containers to the API server, which shows its certificate, on 127.0.0.1.
func (k *kubelets) listen(certificate, privateKey, authority string) error {
	content, err := os.ReadFile(authority)
	if err != nil {
		return err
	}
	clients := x509.NewCertPool()
	if !clients.AppendCertsFromPEM(content) {
		return fmt.Errorf("%s holds no certificate", authority)
	}
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", k.port))
	if err != nil {
		return err
	}
	k.port = listener.Addr().(*net.TCPAddr).Port
	server := &http.Server{Handler: http.HandlerFunc(k.serveLogs), ReadHeaderTimeout: 10 * time.Second,
		TLSConfig: &tls.Config{ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert}}
	go func() {
		klog.ErrorS(server.ServeTLS(listener, certificate, privateKey), "The log server ended")
		os.Exit(1) // to be started again
	}()
	return nil
}

// serveLogs answers the API server's /containerLogs/NAMESPACE/POD/CONTAINER with three lines of the container,
// and one a second when followed, until the pod has ended. tailLines and timestamps are honoured.
func (k *kubelets) serveLogs(w http.ResponseWriter, r *http.Request) {
	part := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if part[0] != "containerLogs" {
		http.Error(w, part[0]+" needs a container that runs, and here none does", http.StatusNotImplemented)
		return
	}
	if len(part) != 4 || k.pods == nil {
		http.NotFound(w, r)
		return
	}
	pod, err := k.pods.Pods(part[1]).Get(part[2])
	if err != nil {
		http.Error(w, fmt.Sprintf("pod %q is not on this node", part[2]), http.StatusNotFound)
		return
	}
	containers := slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers)
	at := slices.IndexFunc(containers, func(c core.Container) bool { return c.Name == part[3] })
	if at < 0 {
		http.Error(w, fmt.Sprintf("container %q is not in pod %q", part[3], part[2]), http.StatusNotFound)
		return
	}
	query := r.URL.Query()
	if status, _ := statusOf(pod, part[3]); status.ContainerID == "" || query.Get("previous") == "true" && status.RestartCount == 0 {
		reason := "no previous terminated container"
		if status.ContainerID == "" {
			reason = "waiting to start"
		}
		if status.State.Waiting != nil {
			reason += ": " + status.State.Waiting.Reason
		}
		http.Error(w, fmt.Sprintf("container %q in pod %q is %s", part[3], part[2], reason), http.StatusBadRequest)
		return
	}
	line := func(text string) {
		if query.Get("timestamps") == "true" {
			text = time.Now().UTC().Format(time.RFC3339Nano) + " " + text
		}
		fmt.Fprintln(w, text)
	}
	lines := []string{"starting " + part[3], "image " + containers[at].Image, "ready on " + pod.Spec.NodeName}
	if tail, err := strconv.Atoi(query.Get("tailLines")); err == nil && tail >= 0 {
		lines = lines[max(0, len(lines)-tail):]
	}
	for _, text := range lines {
		line(text)
	}
	for n := 1; query.Get("follow") == "true"; n++ {
		http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-time.After(time.Second):
		}
		if now, err := k.pods.Pods(part[1]).Get(part[2]); err != nil || now.UID != pod.UID || isTerminal(now) {
			return
		}
		line(fmt.Sprintf("tick %d", n))
	}
}
