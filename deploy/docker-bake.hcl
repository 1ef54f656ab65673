# The nine images with buildx: docker buildx bake --file deploy/docker-bake.hcl   (from the repository's root)
# A mirror's settings: SECRETS='["id=pip_conf,src=pip.conf","id=ca,src=ca.pem","id=apt_sources,src=apt.list"]'
# Wheels that no index has:  --set '*.contexts.wheels=DIRECTORY'

variable "BASE" { default = "python:3.11-slim-bookworm" }
variable "VARIANT" { default = "cpu" } # cuda: torch from the index that pip is told of
variable "PREFIX" { default = "agentforge-" } # of the images' names: REGISTRY/agentforge-
variable "TAG" { default = "latest" }
variable "VERSION" { default = "unknown" }
variable "REVISION" { default = "unknown" }
variable "SOURCE" { default = "unknown" }
variable "SECRETS" {
  type    = list(string)
  default = []
}
variable "PHASES" {
  type    = list(string)
  default = ["cognate", "evomerge", "quietstar", "bitnet", "training", "baking", "adas", "compression"]
}

group "default" {
  targets = ["gateway", "phases"]
}

target "image" {
  context    = "."
  dockerfile = "deploy/Dockerfile"
  secret     = SECRETS
  args = {
    BASE     = BASE
    VARIANT  = VARIANT
    PHASES   = join(",", PHASES)
    VERSION  = VERSION
    REVISION = REVISION
    SOURCE   = SOURCE
  }
}

target "gateway" {
  inherits = ["image"]
  target   = "gateway"
  tags     = ["${PREFIX}gateway:${TAG}"]
}

target "phases" {
  name     = phase
  inherits = ["image"]
  matrix   = { phase = PHASES }
  target   = "phase"
  args     = { PHASE = phase }
  tags     = ["${PREFIX}${phase}:${TAG}"]
}
