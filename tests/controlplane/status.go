package main

import (
	"fmt"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// describe is the status that a kubelet would report of a pod that it sees like this. What has not changed since
// the status that the pod has keeps its times, so that a second look at the same thing gives the same status.
func (k *kubelets) describe(pod *core.Pod, v view, now metav1.Time) core.PodStatus {
	now = now.Rfc3339Copy() // as it will be read back
	status := *pod.Status.DeepCopy()
	if status.StartTime == nil {
		status.StartTime = &now
	}
	status.HostIP, status.HostIPs = "127.0.0.1", []core.HostIP{{IP: "127.0.0.1"}}
	if v.mounted && status.PodIP == "" {
		status.PodIP = status.HostIP
		if !pod.Spec.HostNetwork {
			status.PodIP = k.addresses.forPod()
		}
		status.PodIPs = []core.PodIP{{IP: status.PodIP}}
	}
	status.ObservedGeneration = pod.Generation

	var initialized bool
	status.InitContainerStatuses, initialized = v.initStatuses(pod, now)
	status.ContainerStatuses = nil
	for _, c := range pod.Spec.Containers {
		status.ContainerStatuses = append(status.ContainerStatuses, v.containerStatus(pod, &c, v.stateOf(pod, &c, initialized, now), now))
	}
	status.Phase = v.phase(status.ContainerStatuses)
	if v.fault == failed && v.mounted {
		status.Reason, status.Message = "", "asked for by annotation"
	}

	unready := []string{}
	for i, c := range pod.Spec.Containers {
		if !status.ContainerStatuses[i].Ready {
			unready = append(unready, c.Name)
		}
	}
	for i, c := range pod.Spec.InitContainers {
		if isSidecar(&c) && !status.InitContainerStatuses[i].Ready {
			unready = append(unready, c.Name)
		}
	}
	ready, reason, message := len(unready) == 0, "ContainersNotReady", fmt.Sprintf("containers with unready status: %s", unready)
	switch status.Phase {
	case core.PodSucceeded:
		ready, reason, message = false, "PodCompleted", ""
	case core.PodFailed:
		ready, reason, message = false, "PodFailed", ""
	}
	set := func(kind core.PodConditionType, met bool, reason, message string) {
		setCondition(&status, core.PodCondition{Type: kind, Reason: reason, Message: message, ObservedGeneration: pod.Generation}, met, now)
	}
	set(core.PodReadyToStartContainers, v.mounted && status.Phase != core.PodSucceeded && status.Phase != core.PodFailed, "", "")
	set(core.PodInitialized, initialized, "ContainersNotInitialized", "")
	set(core.ContainersReady, ready, reason, message)
	for _, gate := range pod.Spec.ReadinessGates {
		if ready && !hasCondition(pod, gate.ConditionType) {
			ready, reason, message = false, "ReadinessGatesNotReady", fmt.Sprintf("corresponding condition of pod readiness gate %q is not True", gate.ConditionType)
		}
	}
	set(core.PodReady, ready, reason, message)
	return status
}

// phase follows from the states of the containers, by the rule of the kubelet.
func (v *view) phase(containers []core.ContainerStatus) core.PodPhase {
	switch {
	case v.fault == failed && v.mounted:
		return core.PodFailed
	case v.ended:
		return core.PodSucceeded
	}
	for _, c := range containers {
		if c.State.Waiting != nil && c.LastTerminationState.Terminated == nil || c.State.Waiting != nil && c.State.Waiting.Reason == string(imagePullBackOff) {
			return core.PodPending
		}
	}
	return core.PodRunning
}

// initStatuses are those of the init containers, and whether the others may start.
func (v *view) initStatuses(pod *core.Pod, now metav1.Time) (list []core.ContainerStatus, initialized bool) {
	initialized = v.mounted
	for _, c := range pod.Spec.InitContainers {
		obstacle, blocked := v.obstacles[c.Name]
		state := core.ContainerState{}
		switch {
		case !initialized:
			state.Waiting = &core.ContainerStateWaiting{Reason: "PodInitializing"}
		case blocked:
			state.Waiting = &core.ContainerStateWaiting{Reason: obstacle.reason, Message: obstacle.message}
			initialized = false
		case isSidecar(&c) && !v.ended && v.fault != failed:
			state.Running = &core.ContainerStateRunning{StartedAt: now}
		default:
			state.Terminated = terminated(0, now)
		}
		list = append(list, v.containerStatus(pod, &c, state, now))
	}
	return list, initialized
}

// stateOf is the state of a container that is not an init container.
func (v *view) stateOf(pod *core.Pod, c *core.Container, initialized bool, now metav1.Time) (state core.ContainerState) {
	obstacle, blocked := v.obstacles[c.Name]
	switch {
	case v.fault == failed && v.mounted:
		state.Terminated = terminated(1, now)
	case !initialized && len(pod.Spec.InitContainers) > 0:
		state.Waiting = &core.ContainerStateWaiting{Reason: "PodInitializing"}
	case !initialized:
		state.Waiting = &core.ContainerStateWaiting{Reason: "ContainerCreating"}
	case blocked:
		state.Waiting = &core.ContainerStateWaiting{Reason: obstacle.reason, Message: obstacle.message}
	case v.fault == imagePullBackOff:
		state.Waiting = &core.ContainerStateWaiting{Reason: string(imagePullBackOff), Message: fmt.Sprintf("Back-off pulling image %q: asked for by annotation", c.Image)}
	case v.fault == crashLoopBackOff:
		state.Waiting = &core.ContainerStateWaiting{Reason: string(crashLoopBackOff), Message: fmt.Sprintf("back-off restarting failed container=%s pod=%s: asked for by annotation", c.Name, pod.Name)}
	case v.ended:
		state.Terminated = terminated(0, now)
	default:
		state.Running = &core.ContainerStateRunning{StartedAt: now}
	}
	return state
}

func terminated(code int32, now metav1.Time) *core.ContainerStateTerminated {
	reason := "Completed"
	if code != 0 {
		reason = "Error"
	}
	return &core.ContainerStateTerminated{ExitCode: code, Reason: reason, StartedAt: now, FinishedAt: now}
}

// containerStatus is the status of a container that has come to a state, given the status that it had.
func (v *view) containerStatus(pod *core.Pod, c *core.Container, state core.ContainerState, now metav1.Time) core.ContainerStatus {
	before, _ := statusOf(pod, c.Name)
	replaced := before.ContainerID != "" && before.Image != c.Image
	status := core.ContainerStatus{Name: c.Name, Image: c.Image, ImageID: before.ImageID, ContainerID: before.ContainerID,
		RestartCount: before.RestartCount, LastTerminationState: before.LastTerminationState, State: state, Started: ptr.To(false)}
	if id := v.images[c.Name]; id != "" {
		status.ImageID = id
	}
	if replaced && state.Running != nil {
		status.RestartCount++
		status.LastTerminationState.Terminated = terminated(0, now)
	}
	switch {
	case state.Running != nil:
		if before.State.Running != nil && !replaced {
			status.State.Running.StartedAt = before.State.Running.StartedAt
		}
		status.Ready, status.Started = v.fault != notReady, ptr.To(true)
	case state.Terminated != nil:
		if before.State.Running != nil {
			status.State.Terminated.StartedAt = before.State.Running.StartedAt
		}
		if before.State.Terminated != nil && before.State.Terminated.ExitCode == state.Terminated.ExitCode {
			status.State.Terminated = before.State.Terminated
		}
		status.Ready = state.Terminated.ExitCode == 0
	case state.Waiting.Reason == string(crashLoopBackOff):
		status.RestartCount = max(before.RestartCount, 3)
		if status.LastTerminationState.Terminated == nil || status.LastTerminationState.Terminated.ExitCode == 0 {
			status.LastTerminationState.Terminated = terminated(1, now)
		}
	}
	if status.State.Waiting == nil || state.Waiting.Reason == string(crashLoopBackOff) {
		status.ContainerID = "played://" + string(pod.UID) + "/" + c.Name
		if status.State.Terminated != nil {
			status.State.Terminated.ContainerID = status.ContainerID
		}
	}
	return status
}

// isSidecar says whether an init container keeps running beside the others.
func isSidecar(c *core.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == core.ContainerRestartPolicyAlways
}

// setCondition sets a condition; its reason and message are for when it is not met. Its time changes with its status.
func setCondition(status *core.PodStatus, wanted core.PodCondition, met bool, now metav1.Time) {
	wanted.Status, wanted.LastTransitionTime = core.ConditionFalse, now
	if met {
		wanted.Status, wanted.Reason, wanted.Message = core.ConditionTrue, "", ""
	}
	for i := range status.Conditions {
		if c := &status.Conditions[i]; c.Type == wanted.Type {
			if c.Status == wanted.Status {
				wanted.LastTransitionTime = c.LastTransitionTime
			}
			wanted.LastProbeTime = c.LastProbeTime
			*c = wanted
			return
		}
	}
	status.Conditions = append(status.Conditions, wanted)
}
