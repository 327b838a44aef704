package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"
)

// view is what a kubelet would find of a pod at one moment; its status follows from it.
type view struct {
	mounted   bool                // its volumes are there
	fault     fault               // that an annotation asks for
	obstacles map[string]obstacle // why a container cannot start, by its name
	images    map[string]string   // ids of images, by the name of the container
	ended     bool                // its containers have done their work
	events    []event
}

// obstacle is the reason and message of a container that waits.
type obstacle struct{ reason, message string }

type event struct{ kind, reason, message string }

func (v *view) event(kind, reason, format string, arguments ...any) {
	v.events = append(v.events, event{kind, reason, fmt.Sprintf(format, arguments...)})
}

// errWaiting brings a pod back that waits for something of which no event tells.
var errWaiting = errors.New("the pod waits for an image, a disk or configuration")

// failurePause is how long a pod runs before it fails by annotation. Whatever owns it makes a new one with
// the same annotation, and so on; the pause keeps that from filling the cluster.
const failurePause = time.Second

// reconcilePod brings a pod one step on: created, waiting, running, ended, removed.
func (k *kubelets) reconcilePod(ctx context.Context, item key, pod *core.Pod) error {
	if pod.DeletionTimestamp != nil {
		return k.remove(ctx, pod)
	}
	if isTerminal(pod) {
		return nil
	}
	if pod.Status.StartTime == nil {
		k.queue.AddAfter(item, k.delay)
		return k.writeStatus(ctx, pod, k.describe(pod, view{}, metav1.Now()))
	}
	fault, known := faultOf(pod)
	if !known {
		k.recorders[pod.Spec.NodeName].Eventf(pod, core.EventTypeWarning, "UnknownFault", "no fault is named %q, it has no effect", fault)
		fault = noFault
	}
	wait := k.delay
	if fault == failed {
		wait = max(wait, failurePause)
	}
	if wait = time.Until(pod.Status.StartTime.Add(wait)); wait > 0 {
		k.queue.AddAfter(item, wait)
		return nil
	}
	if fault == noFault && isSettled(pod) {
		return nil
	}
	v, err := k.look(ctx, pod, fault)
	if err != nil {
		return err
	}
	status := k.describe(pod, v, metav1.Now())
	if err := k.writeStatus(ctx, pod, status); err != nil {
		return err
	}
	for _, event := range v.events {
		k.recorders[pod.Spec.NodeName].Event(pod, event.kind, event.reason, event.message)
	}
	if len(v.obstacles) > 0 || !v.mounted {
		return errWaiting
	}
	if pod.Spec.RestartPolicy != core.RestartPolicyAlways && status.Phase == core.PodRunning && fault == noFault {
		k.queue.AddAfter(item, k.delay) // then it has done its work
	}
	return nil
}

// look finds out how far a pod gets.
func (k *kubelets) look(ctx context.Context, pod *core.Pod, fault fault) (view, error) {
	v := view{fault: fault, obstacles: map[string]obstacle{}, images: map[string]string{}}
	references := k.references(pod.Namespace)
	err := references.volumes(ctx, pod)
	reason := "FailedMount"
	if err == nil && !hasStarted(pod) {
		err, reason = k.disks(pod), "FailedAttachVolume"
	}
	if missing, ok := err.(missingError); ok {
		v.event(core.EventTypeWarning, reason, "%s", missing)
		return v, nil
	} else if err != nil {
		return v, err
	}
	v.mounted = true
	if fault == failed {
		return v, nil
	}
	if err := k.lookAtContainers(ctx, pod, references, &v); err != nil {
		return v, err
	}
	switch {
	case len(v.obstacles) > 0:
	case fault == imagePullBackOff:
		for _, c := range pod.Spec.Containers {
			v.event(core.EventTypeWarning, "BackOff", "Back-off pulling image %q", c.Image)
		}
	case fault == crashLoopBackOff:
		for _, c := range pod.Spec.Containers {
			v.event(core.EventTypeWarning, "BackOff", "Back-off restarting failed container %s in pod %s", c.Name, pod.Name)
		}
	case fault == notReady:
		v.event(core.EventTypeWarning, "Unhealthy", "Readiness probe failed: asked for by annotation")
	default:
		since, running := runningSince(pod)
		v.ended = pod.Spec.RestartPolicy != core.RestartPolicyAlways && running && time.Since(since) >= k.delay
	}
	return v, nil
}

// lookAtContainers pulls the images of the containers that have not started yet, in order, and checks what they refer to.
func (k *kubelets) lookAtContainers(ctx context.Context, pod *core.Pod, references *references, v *view) error {
	keychain, err := k.keychain(ctx, pod)
	if err != nil {
		return err
	}
	i, _ := k.nodeIndex(pod.Spec.NodeName)
	initialized := true
	for n, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		init := n < len(pod.Spec.InitContainers)
		before, _ := statusOf(pod, c.Name)
		if before.ContainerID != "" && before.Image == c.Image {
			v.images[c.Name] = before.ImageID
			continue // it has started before, the image is on the node
		}
		if v.fault == imagePullBackOff && !init || !initialized {
			continue
		}
		if c.ImagePullPolicy == core.PullNever {
			err = fmt.Errorf("container image %q %w", c.Image, errNeverPull)
		} else {
			v.event(core.EventTypeNormal, "Pulling", "Pulling image %q", c.Image)
			var image pulled
			if image, err = k.pull(ctx, c.Image, k.architecture(i), keychain); err == nil {
				v.images[c.Name] = image.id
				v.event(core.EventTypeNormal, "Pulled", "Successfully pulled image %q in %dms. Image size: %d bytes.", c.Image, image.took.Milliseconds(), image.size)
			}
		}
		if err != nil {
			v.obstacles[c.Name] = v.pullFailed(c.Image, before, err)
			initialized = initialized && !init
			continue
		}
		err = references.environment(ctx, &c)
		if missing, ok := err.(missingError); ok {
			v.obstacles[c.Name] = obstacle{"CreateContainerConfigError", missing.Error()}
			v.event(core.EventTypeWarning, "Failed", "Error: %s", missing)
			initialized = initialized && !init
		} else if err != nil {
			return err
		} else {
			v.event(core.EventTypeNormal, "Created", "Container created")
			v.event(core.EventTypeNormal, "Started", "Container started")
		}
	}
	return nil
}

// pullFailed is the obstacle of an image that a node cannot take: first the error, then the wait for the next try.
func (v *view) pullFailed(image string, before core.ContainerStatus, err error) obstacle {
	switch {
	case errors.Is(err, errInvalidName):
		message := fmt.Sprintf("Failed to apply default image tag %q: %s", image, err)
		v.event(core.EventTypeWarning, "InspectFailed", "%s", message)
		return obstacle{"InvalidImageName", message}
	case errors.Is(err, errNeverPull):
		v.event(core.EventTypeWarning, "ErrImageNeverPull", "%s", err)
		return obstacle{"ErrImageNeverPull", err.Error()}
	}
	message := fmt.Sprintf("failed to pull image %q: %s", image, err)
	v.event(core.EventTypeWarning, "Failed", "Failed to pull image %q: %s", image, err)
	if waiting := before.State.Waiting; waiting != nil && (waiting.Reason == "ErrImagePull" || waiting.Reason == "ImagePullBackOff") {
		v.event(core.EventTypeNormal, "BackOff", "Back-off pulling image %q", image)
		v.event(core.EventTypeWarning, "Failed", "Error: ImagePullBackOff")
		return obstacle{"ImagePullBackOff", fmt.Sprintf("Back-off pulling image %q: ErrImagePull: %s", image, message)}
	}
	v.event(core.EventTypeWarning, "Failed", "Error: ErrImagePull")
	return obstacle{"ErrImagePull", message}
}

// remove ends a pod that is being deleted. Where somebody waits for its end (a finalizer), it ends before it goes.
func (k *kubelets) remove(ctx context.Context, pod *core.Pod) error {
	if len(pod.Finalizers) > 0 && !isTerminal(pod) {
		if err := k.writeStatus(ctx, pod, k.describe(pod, view{mounted: true, fault: failed}, metav1.Now())); err != nil {
			return err
		}
	}
	return ignoreStale(k.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name,
		metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0), Preconditions: metav1.NewUIDPreconditions(string(pod.UID))}))
}

// writeStatus writes a status that differs from what is there; one that does not would only wake everybody up.
func (k *kubelets) writeStatus(ctx context.Context, pod *core.Pod, status core.PodStatus) error {
	if equality.Semantic.DeepEqual(pod.Status, status) {
		return nil
	}
	changed := pod.DeepCopy()
	changed.Status = status
	_, err := k.client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, changed, metav1.UpdateOptions{})
	return ignoreStale(err)
}

func (k *kubelets) podsOf(namespace string) []*core.Pod {
	pods, err := k.pods.Pods(namespace).List(labels.Everything())
	if err != nil {
		return nil // a lister of memory does not fail
	}
	return pods
}

func isTerminal(pod *core.Pod) bool {
	return pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed
}

// isSettled says that a pod runs, as its specification is now, and will run on.
func isSettled(pod *core.Pod) bool {
	if pod.Spec.RestartPolicy != core.RestartPolicyAlways || !isReady(pod) {
		return false
	}
	for _, c := range pod.Spec.Containers {
		if status, _ := statusOf(pod, c.Name); status.Image != c.Image {
			return false
		}
	}
	return pod.Status.ObservedGeneration == pod.Generation
}

func isReady(pod *core.Pod) bool { return hasCondition(pod, core.PodReady) }

// hasStarted says that the volumes of a pod are with it.
func hasStarted(pod *core.Pod) bool { return hasCondition(pod, core.PodReadyToStartContainers) }

func hasCondition(pod *core.Pod, kind core.PodConditionType) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == kind {
			return condition.Status == core.ConditionTrue
		}
	}
	return false
}

// runningSince is when the last of the containers of a pod started; false if not all run.
func runningSince(pod *core.Pod) (since time.Time, running bool) {
	for _, c := range pod.Spec.Containers {
		status, _ := statusOf(pod, c.Name)
		if status.State.Running == nil {
			return since, false
		}
		if started := status.State.Running.StartedAt.Time; started.After(since) {
			since = started
		}
	}
	return since, true
}

func statusOf(pod *core.Pod, container string) (core.ContainerStatus, bool) {
	for _, status := range slices.Concat(pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses) {
		if status.Name == container {
			return status, true
		}
	}
	return core.ContainerStatus{}, false
}
