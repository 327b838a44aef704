package main

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

func TestPodIsReadyWhenItsImageIsThere(t *testing.T) {
	r, l := enter(t, nil), newLibrary(t)
	image := l.image("amd64")
	digest, err := image.Digest()
	must(t, err)
	r.pod("app", nil, l.push("app:v1", image))
	pod := r.awaitReady("app")
	if status := pod.Status.ContainerStatuses[0]; !strings.HasSuffix(status.ImageID, "@"+digest.String()) || status.State.Running == nil {
		t.Errorf("the image is not reported: %s", summary(pod))
	}
	if pod.Status.Phase != core.PodRunning || pod.Status.PodIP == "" {
		t.Errorf("the pod does not run: %s", summary(pod))
	}
	for _, reason := range []string{"Pulling", "Pulled", "Started"} {
		r.awaitEvent("app", reason, "")
	}
}

func TestPodWaitsForAnImageUntilItIsPushed(t *testing.T) {
	r, l := enter(t, nil), newLibrary(t)
	r.pod("app", nil, l.host+"/late:v1")
	pod := r.awaitWaiting("app", "ImagePullBackOff")
	if pod.Status.Phase != core.PodPending {
		t.Errorf("phase is %s", pod.Status.Phase)
	}
	r.awaitEvent("app", "Failed", "Error: ErrImagePull")
	r.awaitEvent("app", "Failed", "late")
	r.awaitEvent("app", "BackOff", "Back-off pulling image")
	l.push("late:v1", l.image("amd64"))
	r.awaitReady("app")
}

func TestPodNeedsEveryLayerAndTheConfiguration(t *testing.T) {
	r := enter(t, nil)
	for name, part := range map[string]func(l *library) (image, digest string){
		"layer": func(l *library) (string, string) {
			image := l.image("amd64")
			layers, err := image.Layers()
			must(t, err)
			digest, err := layers[1].Digest()
			must(t, err)
			return l.push("app:v1", image), digest.String()
		},
		"config": func(l *library) (string, string) {
			image := l.image("amd64")
			digest, err := image.ConfigName()
			must(t, err)
			return l.push("app:v1", image), digest.String()
		},
	} {
		l := newLibrary(t)
		image, digest := part(l)
		l.lose(digest)
		r.pod(name, nil, image)
		r.awaitWaiting(name, "ImagePullBackOff")
		l.lose("")
		r.awaitReady(name)
	}
}

func TestPodNeedsAnImageForTheArchitectureOfItsNode(t *testing.T) {
	r, l := enter(t, nil), newLibrary(t)
	onArm := func(pod *core.Pod) { pod.Spec.NodeSelector = map[string]string{core.LabelArchStable: "arm64"} }
	r.pod("wrong", onArm, l.amd64())
	r.pod("right", onArm, l.push("arm:v1", l.image("arm64")))
	r.pod("index", onArm, l.both())
	r.awaitReady("right")
	r.awaitReady("index")
	r.awaitWaiting("wrong", "ImagePullBackOff")
	r.awaitEvent("wrong", "Failed", "linux/arm64")
}

func TestRegistryElsewhereIsUnreachable(t *testing.T) {
	r := enter(t, nil)
	r.pod("app", nil, "registry.example.com/app:v1")
	r.awaitWaiting("app", "ImagePullBackOff")
	r.awaitEvent("app", "Failed", "registry.example.com is not reachable")
}

func TestPullSecretsOfPodAndServiceAccountAreUsed(t *testing.T) {
	r, l := enter(t, nil), newLibrary(t)
	image := l.amd64()
	l.protect("open sesame")
	r.pod("none", nil, image)
	r.awaitWaiting("none", "ImagePullBackOff")
	r.awaitEvent("none", "Failed", "401")

	auth := base64.StdEncoding.EncodeToString([]byte("puller:open sesame"))
	_, err := r.client.CoreV1().Secrets(r.namespace).Create(r, &core.Secret{ObjectMeta: metav1.ObjectMeta{Name: "pull"}, Type: core.SecretTypeDockerConfigJson,
		Data: map[string][]byte{core.DockerConfigJsonKey: fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, l.host, auth)}}, metav1.CreateOptions{})
	must(t, err)
	secrets := []core.LocalObjectReference{{Name: "pull"}}
	r.pod("own", func(pod *core.Pod) { pod.Spec.ImagePullSecrets = secrets }, image)
	r.awaitReady("own")

	_, err = r.client.CoreV1().ServiceAccounts(r.namespace).Create(r, &core.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "puller"}, ImagePullSecrets: secrets}, metav1.CreateOptions{})
	must(t, err)
	r.pod("account", func(pod *core.Pod) { pod.Spec.ServiceAccountName = "puller" }, image)
	r.awaitReady("account")
}

func TestFaultHoldsAPodAndItsRemovalFreesIt(t *testing.T) {
	r, l := enter(t, nil), newLibrary(t)
	image := l.amd64()
	annotate := func(name, key string, value any) {
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:null}}}`, key)
		if value != nil {
			patch = fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, key, value)
		}
		_, err := r.client.CoreV1().Pods(r.namespace).Patch(r, name, types.MergePatchType, patch, metav1.PatchOptions{})
		must(t, err)
	}
	for i, key := range faultAnnotations {
		name := fmt.Sprintf("app%d", i)
		r.pod(name, func(pod *core.Pod) { pod.Annotations = map[string]string{key: "ImagePullBackOff"} }, image)
		r.awaitWaiting(name, "ImagePullBackOff")
		annotate(name, key, nil)
		r.awaitReady(name)

		annotate(name, key, "CrashLoopBackOff")
		pod := r.awaitWaiting(name, "CrashLoopBackOff")
		if status := pod.Status.ContainerStatuses[0]; status.RestartCount == 0 || status.LastTerminationState.Terminated == nil {
			t.Errorf("nothing has crashed: %s", summary(pod))
		}
		annotate(name, key, "NotReady")
		r.awaitPod(name, "run and not be ready", func(pod *core.Pod) string {
			if pod.Status.Phase == core.PodRunning && !isReady(pod) && pod.Status.ContainerStatuses[0].State.Running != nil {
				return ""
			}
			return summary(pod)
		})
		annotate(name, key, nil)
		r.awaitReady(name)
		annotate(name, key, "Failed")
		if pod := r.awaitPhase(name, core.PodFailed); pod.Status.ContainerStatuses[0].State.Terminated.ExitCode != 1 {
			t.Errorf("exit code is not 1: %s", summary(pod))
		}
	}
}

func TestStatusOfAnUnchangedPodStaysTheSame(t *testing.T) {
	t.Parallel()
	k, begun := kubelets{}, metav1.Now()
	for name, v := range map[string]view{
		"creating": {}, "running": {mounted: true}, "ended": {mounted: true, ended: true}, "failed": {mounted: true, fault: failed},
		"crashing": {mounted: true, fault: crashLoopBackOff}, "not ready": {mounted: true, fault: notReady}, "held": {mounted: true, fault: imagePullBackOff},
		"no image": {mounted: true, obstacles: map[string]obstacle{"c": {"ErrImagePull", "not there"}}},
		"no init":  {mounted: true, obstacles: map[string]obstacle{"init": {"ErrImagePull", "not there"}}},
	} {
		pod := &core.Pod{Spec: core.PodSpec{RestartPolicy: core.RestartPolicyAlways, InitContainers: []core.Container{{Name: "init", Image: "i"}},
			Containers: []core.Container{{Name: "c", Image: "i"}}}}
		pod.Status = k.describe(pod, v, begun)
		if later := k.describe(pod, v, metav1.NewTime(begun.Add(time.Hour))); !equality.Semantic.DeepEqual(pod.Status, later) {
			t.Errorf("%s: an hour later it would be written again: %+v, was %+v", name, later, pod.Status)
		}
	}
}

func TestMissingConfigurationIsReportedAndWaitedFor(t *testing.T) {
	r, l := enter(t, nil), newLibrary(t)
	image := l.amd64()
	r.pod("env", func(pod *core.Pod) {
		pod.Spec.Containers[0].EnvFrom = []core.EnvFromSource{
			{SecretRef: &core.SecretEnvSource{LocalObjectReference: core.LocalObjectReference{Name: "other"}, Optional: ptr.To(true)}},
			{ConfigMapRef: &core.ConfigMapEnvSource{LocalObjectReference: core.LocalObjectReference{Name: "settings"}}}}
	}, image)
	r.pod("key", func(pod *core.Pod) {
		pod.Spec.Containers[0].Env = []core.EnvVar{{Name: "PASSWORD", ValueFrom: &core.EnvVarSource{SecretKeyRef: &core.SecretKeySelector{
			LocalObjectReference: core.LocalObjectReference{Name: "secrets"}, Key: "password"}}}}
	}, image)
	r.pod("file", func(pod *core.Pod) {
		pod.Spec.Volumes = []core.Volume{{Name: "files", VolumeSource: core.VolumeSource{ConfigMap: &core.ConfigMapVolumeSource{
			LocalObjectReference: core.LocalObjectReference{Name: "settings"}}}}}
	}, image)
	env := r.awaitWaiting("env", "CreateContainerConfigError")
	if message := env.Status.ContainerStatuses[0].State.Waiting.Message; message != `configmap "settings" not found` {
		t.Errorf("the message is %q", message)
	}
	r.awaitWaiting("key", "CreateContainerConfigError")
	r.awaitEvent("file", "FailedMount", `configmap "settings" not found`)
	r.awaitWaiting("file", "ContainerCreating")

	_, err := r.client.CoreV1().Secrets(r.namespace).Create(r, &core.Secret{ObjectMeta: metav1.ObjectMeta{Name: "secrets"}}, metav1.CreateOptions{})
	must(t, err)
	r.awaitEvent("key", "Failed", "couldn't find key password in Secret")
	_, err = r.client.CoreV1().Secrets(r.namespace).Update(r, &core.Secret{ObjectMeta: metav1.ObjectMeta{Name: "secrets"}, StringData: map[string]string{"password": "x"}}, metav1.UpdateOptions{})
	must(t, err)
	_, err = r.client.CoreV1().ConfigMaps(r.namespace).Create(r, &core.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "settings"}}, metav1.CreateOptions{})
	must(t, err)
	for _, name := range []string{"env", "key", "file"} {
		r.awaitReady(name)
	}
}

func TestInitContainersEndAndSidecarsRun(t *testing.T) {
	r, l := enter(t, nil), newLibrary(t)
	image := l.amd64()
	r.pod("app", func(pod *core.Pod) {
		pod.Spec.InitContainers = []core.Container{{Name: "migrate", Image: l.host + "/migrate:v1"},
			{Name: "proxy", Image: image, RestartPolicy: ptr.To(core.ContainerRestartPolicyAlways)}}
	}, image)
	pod := r.awaitPod("app", "wait for its init container", func(pod *core.Pod) string {
		if list := pod.Status.InitContainerStatuses; len(list) == 2 && list[0].State.Waiting != nil && list[0].State.Waiting.Reason == "ImagePullBackOff" {
			return ""
		}
		return summary(pod)
	})
	if waiting := pod.Status.ContainerStatuses[0].State.Waiting; waiting == nil || waiting.Reason != "PodInitializing" || hasCondition(pod, core.PodInitialized) {
		t.Errorf("the container does not wait: %s", summary(pod))
	}
	l.push("migrate:v1", l.image("amd64"))
	pod = r.awaitReady("app")
	if list := pod.Status.InitContainerStatuses; list[0].State.Terminated == nil || list[1].State.Running == nil || !list[1].Ready {
		t.Errorf("the init containers are not as they must be: %s", summary(pod))
	}
}

func TestJobCompletesAndItsFailureIsCounted(t *testing.T) {
	r, l := enter(t, nil), newLibrary(t)
	template := core.PodTemplateSpec{Spec: core.PodSpec{RestartPolicy: core.RestartPolicyNever, NodeSelector: map[string]string{core.LabelArchStable: "amd64"},
		Containers: []core.Container{{Name: "c", Image: l.amd64()}}}}
	failing := *template.DeepCopy()
	failing.Annotations = map[string]string{faultAnnotations[0]: "Failed"}
	for name, template := range map[string]core.PodTemplateSpec{"good": template, "bad": failing} {
		_, err := r.client.BatchV1().Jobs(r.namespace).Create(r, &batch.Job{ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: batch.JobSpec{BackoffLimit: ptr.To[int32](0), Template: template}}, metav1.CreateOptions{})
		must(t, err)
	}
	for name, kind := range map[string]batch.JobConditionType{"good": batch.JobComplete, "bad": batch.JobFailed} {
		r.await("job "+name+" must be "+string(kind), func() error {
			job, err := r.client.BatchV1().Jobs(r.namespace).Get(r, name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(job.Status.Conditions, func(c batch.JobCondition) bool { return c.Type == kind && c.Status == core.ConditionTrue }) {
				return fmt.Errorf("is %+v", job.Status)
			}
			return nil
		})
	}
}

func TestCronJobRunsItsPods(t *testing.T) {
	r, l := enter(t, nil), newLibrary(t)
	jobs := r.client.BatchV1().CronJobs(r.namespace)
	cron, err := jobs.Create(r, &batch.CronJob{ObjectMeta: metav1.ObjectMeta{Name: "nightly"}, Spec: batch.CronJobSpec{Schedule: "0 3 * * *", TimeZone: ptr.To("Asia/Shanghai"),
		JobTemplate: batch.JobTemplateSpec{Spec: batch.JobSpec{Template: core.PodTemplateSpec{Spec: core.PodSpec{RestartPolicy: core.RestartPolicyOnFailure,
			NodeSelector: map[string]string{core.LabelArchStable: "amd64"}, Containers: []core.Container{{Name: "c", Image: l.amd64()}}}}}}}}, metav1.CreateOptions{})
	must(t, err)
	// It ran last two days ago: a run is due, nobody needs to wait for the night.
	cron.Status.LastScheduleTime = &metav1.Time{Time: time.Now().Add(-48 * time.Hour)}
	r.await("the last run must be written", func() error {
		_, err := jobs.UpdateStatus(r, cron, metav1.UpdateOptions{})
		if apierrors.IsConflict(err) {
			if fresh, err := jobs.Get(r, cron.Name, metav1.GetOptions{}); err == nil {
				cron.ResourceVersion = fresh.ResourceVersion
			}
		}
		return err
	})
	r.await("a pod of the CronJob must succeed", func() error {
		pods, err := r.client.CoreV1().Pods(r.namespace).List(r, metav1.ListOptions{})
		if err == nil && (len(pods.Items) == 0 || pods.Items[0].Status.Phase != core.PodSucceeded) {
			err = fmt.Errorf("pods are %d", len(pods.Items))
		}
		return err
	})
	r.await("the CronJob must count the success", func() error {
		cron, err := jobs.Get(r, "nightly", metav1.GetOptions{})
		if err == nil && cron.Status.LastSuccessfulTime == nil {
			err = fmt.Errorf("status is %+v", cron.Status)
		}
		return err
	})
}

func TestDaemonSetRunsOnEveryNode(t *testing.T) {
	r, l := enter(t, nil), newLibrary(t)
	labels := map[string]string{"app": "agent"}
	_, err := r.client.AppsV1().DaemonSets(r.namespace).Create(r, &apps.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: "agent"}, Spec: apps.DaemonSetSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: core.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec: core.PodSpec{Containers: []core.Container{{Name: "c", Image: l.both()}}}}}}, metav1.CreateOptions{})
	must(t, err)
	r.await("the DaemonSet must be ready on three nodes", func() error {
		set, err := r.client.AppsV1().DaemonSets(r.namespace).Get(r, "agent", metav1.GetOptions{})
		if err == nil && set.Status.NumberReady != 3 {
			err = fmt.Errorf("status is %+v", set.Status)
		}
		return err
	})
	pods, err := r.client.CoreV1().Pods(r.namespace).List(r, metav1.ListOptions{})
	must(t, err)
	images := map[string]string{}
	for _, pod := range pods.Items {
		images[pod.Spec.NodeName] = pod.Status.ContainerStatuses[0].ImageID
	}
	if len(images) != 3 || images["node-0"] != images["node-2"] || images["node-0"] == images["node-1"] {
		t.Errorf("each node must have the image of its architecture, they have %v", images)
	}
}

func TestQuotaAndAdmissionRefuse(t *testing.T) {
	r := enter(t, map[string]string{"pod-security.kubernetes.io/enforce": "restricted"})
	_, err := r.client.CoreV1().Pods(r.namespace).Create(r, &core.Pod{ObjectMeta: metav1.ObjectMeta{Name: "root"},
		Spec: core.PodSpec{Containers: []core.Container{{Name: "c", Image: "127.0.0.1:1/app"}}}}, metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "PodSecurity") {
		t.Errorf("pod security must refuse, got %v", err)
	}
	_, err = r.client.CoreV1().ResourceQuotas(r.namespace).Create(r, &core.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "few"},
		Spec: core.ResourceQuotaSpec{Hard: core.ResourceList{"count/secrets": resource.MustParse("1")}}}, metav1.CreateOptions{})
	must(t, err)
	n := 0
	r.await("the quota must refuse", func() error {
		n++
		_, err := r.client.CoreV1().Secrets(r.namespace).Create(r, &core.Secret{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("s%d", n)}}, metav1.CreateOptions{})
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "exceeded quota: few") {
			return fmt.Errorf("got %v", err)
		}
		return nil
	})
}

func TestLogsAnswerAndFollow(t *testing.T) {
	r, l := enter(t, nil), newLibrary(t)
	image := l.amd64()
	r.pod("held", func(pod *core.Pod) { pod.Annotations = map[string]string{faultAnnotations[0]: "ImagePullBackOff"} }, image)
	r.pod("app", nil, image)
	r.awaitReady("app")
	content, err := r.client.CoreV1().Pods(r.namespace).GetLogs("app", &core.PodLogOptions{TailLines: ptr.To[int64](2)}).DoRaw(r)
	must(t, err)
	if lines := strings.Split(strings.TrimSpace(string(content)), "\n"); len(lines) != 2 || lines[0] != "image "+image {
		t.Errorf("the log is %q", content)
	}
	stream, err := r.client.CoreV1().Pods(r.namespace).GetLogs("app", &core.PodLogOptions{Follow: true}).Stream(r)
	must(t, err)
	defer stream.Close()
	lines := bufio.NewScanner(stream)
	for lines.Scan() && lines.Text() != "tick 1" {
	}
	if lines.Text() != "tick 1" {
		t.Fatal("the log is not followed")
	}
	must(t, r.client.CoreV1().Pods(r.namespace).Delete(r, "app", metav1.DeleteOptions{}))
	for lines.Scan() { // ends with the pod
	}
	r.awaitWaiting("held", "ImagePullBackOff")
	if _, err := r.client.CoreV1().Pods(r.namespace).GetLogs("held", &core.PodLogOptions{}).Stream(r); !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), "waiting to start: ImagePullBackOff") {
		t.Errorf("a container that has not started has no log, got %v", err)
	}
}
