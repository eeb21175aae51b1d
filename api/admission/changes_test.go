// SPDX-License-Identifier: Apache-2.0

package admission_test

// changes are rules about what may become of a stored pipeline.
var changes = []rule{
	{
		name:   "another namespace",
		from:   "spec: {namespace: orders-prod}",
		accept: "spec: {image: other}",
		refuse: "spec: {namespace: orders-test}",
		want:   []string{"spec.namespace", `is "orders-prod" and cannot become "orders-test"`, "only the same is allowed"},
	},
	{
		name:   "a namespace taken away",
		from:   "spec: {namespace: orders-prod}",
		accept: "spec: {namespace: orders-prod}",
		refuse: "spec: {namespace: null}",
		want:   []string{"spec.namespace", `is "orders-prod" and cannot become absent`, "only the same is allowed"},
	},
	{
		name:   "a namespace given later",
		accept: "spec: {image: other}",
		refuse: "spec: {namespace: orders-prod}",
		want:   []string{"spec.namespace", `is absent and cannot become "orders-prod"`, "only the same is allowed"},
	},
	{
		name:   "another class of the checkpoint",
		from:   "spec: {checkpoint: {volume: {storageClassName: efs}}}",
		accept: "spec: {checkpoint: {volume: {storageClassName: efs, size: 200Gi}}}",
		refuse: "spec: {checkpoint: {volume: {storageClassName: nfs}}}",
		want:   []string{"spec.checkpoint.volume", `is "efs" and cannot become "nfs"`, "only the same is allowed"},
	},
	{
		name:   "a class of the checkpoint taken away",
		from:   "spec: {checkpoint: {volume: {storageClassName: efs}}}",
		accept: "spec: {checkpoint: {volume: {storageClassName: efs}}}",
		refuse: "spec: {checkpoint: {volume: {storageClassName: null}}}",
		want:   []string{"spec.checkpoint.volume", `is "efs" and cannot become ""`, "an absent one counts as empty"},
	},
	{
		name:   "a class of the checkpoint taken away with its block",
		from:   "spec: {checkpoint: {volume: {storageClassName: efs}}}",
		accept: "spec: {checkpoint: {volume: {storageClassName: efs}}}",
		refuse: "spec: {checkpoint: {volume: null}}",
		want:   []string{"spec.checkpoint.volume", `is "efs" and cannot become ""`, "an absent one counts as empty"},
	},
	{
		name:   "a class of the checkpoint taken away with all of it",
		from:   "spec: {checkpoint: {volume: {storageClassName: efs}}}",
		accept: "spec: {checkpoint: {volume: {storageClassName: efs}}}",
		refuse: "spec: {checkpoint: null}",
		want:   []string{"spec.checkpoint.volume", `is "efs" and cannot become ""`, "an absent one counts as empty"},
	},
	{
		name:   "a class of the checkpoint given later",
		accept: `spec: {checkpoint: {volume: {storageClassName: ""}}}`,
		refuse: "spec: {checkpoint: {volume: {storageClassName: efs}}}",
		want:   []string{"spec.checkpoint.volume", `is "" and cannot become "efs"`, "an absent one counts as empty"},
	},
	{
		name:   "another access mode",
		from:   "spec: {checkpoint: {volume: {accessMode: ReadWriteOnce}}}",
		accept: "spec: {checkpoint: {volume: {accessMode: ReadWriteOnce}}}",
		refuse: "spec: {checkpoint: {volume: {accessMode: ReadWriteMany}}}",
		want:   []string{"spec.checkpoint.volume", "is ReadWriteOnce and cannot become ReadWriteMany", "only the same is allowed"},
	},
	{
		name:   "an access mode taken away with its block",
		from:   "spec: {checkpoint: {volume: {accessMode: ReadWriteOnce}}}",
		accept: "spec: {checkpoint: {volume: {accessMode: ReadWriteOnce}}}",
		refuse: "spec: {checkpoint: {volume: null}}",
		want:   []string{"spec.checkpoint.volume", "is ReadWriteOnce and cannot become ReadWriteMany", "an absent one counts as ReadWriteMany"},
	},
	{
		name:   "an access mode given later",
		accept: "spec: {checkpoint: {volume: {accessMode: ReadWriteMany}}}",
		refuse: "spec: {checkpoint: {volume: {accessMode: ReadWriteOnce}}}",
		want:   []string{"spec.checkpoint.volume", "is ReadWriteMany and cannot become ReadWriteOnce", "only the same is allowed"},
	},
	{
		name:   "a smaller checkpoint",
		from:   "spec: {checkpoint: {volume: {size: 200Gi}}}",
		accept: "spec: {checkpoint: {volume: {size: 0.2Ti}}}",
		refuse: "spec: {checkpoint: {volume: {size: 199Gi}}}",
		want:   []string{"spec.checkpoint.volume", "is 200Gi and cannot shrink to 199Gi", "the same or more is allowed"},
	},
	{
		name:   "a size of the checkpoint taken away with its block",
		from:   "spec: {checkpoint: {volume: {size: 200Gi}}}",
		accept: "spec: {checkpoint: {volume: {size: 201Gi}}}",
		refuse: "spec: {checkpoint: {volume: null}}",
		want:   []string{"spec.checkpoint.volume", "is 200Gi and cannot shrink to 100Gi", "an absent one counts as 100Gi"},
	},
	{
		name:   "a checkpoint smaller than the absent one",
		accept: "spec: {checkpoint: {volume: {size: 101Gi}}}",
		refuse: "spec: {checkpoint: {volume: {size: 99Gi}}}",
		want:   []string{"spec.checkpoint.volume", "is 100Gi and cannot shrink to 99Gi", "an absent one counts as 100Gi"},
	},
	{
		name:   "smaller event logs",
		from:   "spec: {eventLog: {volume: {size: 60Gi}}}",
		accept: "spec: {eventLog: {volume: {size: 61Gi}}}",
		refuse: "spec: {eventLog: {volume: {size: 50Gi}}}",
		want:   []string{"spec.eventLog.volume.size", "is 60Gi and cannot shrink to 50Gi", "the same or more is allowed"},
	},
	{
		name:   "a size of the event logs taken away",
		from:   "spec: {eventLog: {volume: {size: 60Gi}}}",
		accept: "spec: {eventLog: {volume: {size: 60Gi}}}",
		refuse: "spec: {eventLog: null}",
		want:   []string{"spec.eventLog.volume.size", "is 60Gi and cannot shrink to 50Gi", "the same or more is allowed"},
	},
	{
		name:   "another class of the event logs",
		from:   "spec: {eventLog: {volume: {storageClassName: efs}}}",
		accept: "spec: {eventLog: {volume: {storageClassName: efs, size: 90Gi}}}",
		refuse: "spec: {eventLog: {volume: {storageClassName: nfs}}}",
		want:   []string{"spec.eventLog.volume.storageClassName", `is "efs" and cannot become "nfs"`, "only the same is allowed"},
	},
	{
		name:   "a class of the event logs taken away",
		from:   "spec: {eventLog: {volume: {storageClassName: efs}}}",
		accept: "spec: {eventLog: {volume: {storageClassName: efs}}}",
		refuse: "spec: {eventLog: null}",
		want:   []string{"spec.eventLog.volume.storageClassName", `is "efs" and cannot become ""`, "only the same is allowed"},
	},
}
