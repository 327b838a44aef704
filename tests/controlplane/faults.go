package main

import core "k8s.io/api/core/v1"

// fault is a state that an annotation of a pod holds it in, for as long as the annotation is there.
type fault string

const (
	noFault          fault = ""
	imagePullBackOff fault = "ImagePullBackOff" // as if an image were not to be had
	crashLoopBackOff fault = "CrashLoopBackOff" // as if the containers ended again and again
	notReady         fault = "NotReady"         // runs, as if the readiness probe failed
	failed           fault = "Failed"           // ended with exit code 1; final, as with every pod
)

// faultAnnotations are the keys of that annotation; the first that is there counts.
var faultAnnotations = []string{"controlplane.test/fault", "playground.ropeway.dev/fault"}

// faultOf reads the annotation; known is false for a value that is none of the above, which has no effect.
func faultOf(pod *core.Pod) (f fault, known bool) {
	for _, annotation := range faultAnnotations {
		switch f = fault(pod.Annotations[annotation]); f {
		case noFault:
			continue
		case imagePullBackOff, crashLoopBackOff, notReady, failed:
			return f, true
		default:
			return f, false
		}
	}
	return noFault, true
}
