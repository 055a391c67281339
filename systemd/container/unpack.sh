#!/bin/sh
# Unpack a container image into a directory, and print the drop-in that gives the service its environment and the driver's
# libraries, which belong to the machine and not to the image. Run it again after an upgrade of the image or the driver.
#
#   sudo systemd/container/unpack.sh autoresearch /opt/autoresearch-image > image.conf
#
# ENGINE=podman takes podman. Nothing is left of an earlier unpacking: the directory is replaced when the new one is whole.
set -eu

[ $# -eq 2 ] || { echo "usage: unpack.sh IMAGE DIRECTORY" >&2; exit 2; }
image=$1
root=$2
engine=${ENGINE:-docker}

[ ! -e "$root" ] || [ -e "$root/.autoresearch-image" ] || {
    echo "unpack.sh: $root is there and was not made by this script" >&2
    exit 1
}

container=$("$engine" create "$image")
trap '"$engine" rm "$container" >/dev/null; rm -rf "$root.new"' EXIT
rm -rf "$root.new"
mkdir -p "$root.new"
"$engine" export "$container" | tar -x -C "$root.new"
touch "$root.new/.autoresearch-image"
rm -rf "$root"
mv "$root.new" "$root"

echo "# The environment of image $image, and the NVIDIA driver of this machine. Made by unpack.sh."
echo "[Service]"
# systemd takes % for a specifier and " for the end; HOME and the like are the unit's own.
"$engine" inspect --format '{{range .Config.Env}}{{println .}}{{end}}' "$image" |
    grep -v -e '^$' -e '^HOME=' -e '^USER=' -e '^HOSTNAME=' |
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/%/%%/g' -e 's/.*/Environment="&"/'
# The loader finds them by these names; whatever the driver has, at the place where the machine has it.
ldconfig -p | sed -n 's!.* => \(/.*/lib\(cuda\|cudadebugger\|nvidia-[^/]*\|nvcuvid\)\.so[^/]*\)$!BindReadOnlyPaths=-\1!p' | sort -u
echo "BindReadOnlyPaths=-/usr/bin/nvidia-smi"
