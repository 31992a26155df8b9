// Package deploy tests what is in the folder deploy, and the Dockerfile. It renders each overlay of deploy/k8s as
// kubectl would, decodes every object strictly by the types of Kubernetes, and compares ports, probes, grace periods
// and settings with a node that it builds as the Dockerfile does and starts as the container does. The alerts are
// tested by promtool, where there is one.
package deploy
