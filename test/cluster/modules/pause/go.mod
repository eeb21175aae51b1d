module sparkpipeline.dev/operator/test/cluster/modules/pause

go 1.26.0
