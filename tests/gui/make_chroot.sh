#!/usr/bin/env bash
# make_chroot.sh SUITE FOLDER: a Debian system with a full Blender, a virtual display with software OpenGL and what it
# takes to click in it. SUITE is trixie (Blender 4.3) or sid (Blender 5.2). Needs root and debootstrap; 2 GB, 2-4 minutes.
set -euo pipefail
suite=$1 root=$2

# A mount namespace of our own: what is mounted below the folder goes away with this process.
[ "${OWN_MOUNTS:-}" = 1 ] || exec env OWN_MOUNTS=1 unshare --mount --propagation private "$0" "$@"

[ -x "$root/usr/bin/apt-get" ] || debootstrap --variant=minbase --include=ca-certificates "$suite" "$root"

# The host's way to the network serves inside too: names, certificates, apt's own settings.
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
for settings in /etc/apt/apt.conf.d/99*; do
    inner=$root$settings
    [ ! -e "$settings" ] || [ -e "$inner" ] || cp "$settings" "$inner"
done
for folder in proc sys dev; do mount --rbind "/$folder" "$root/$folder"; done

inside() { chroot "$root" env DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"; }
inside apt-get update -qq
inside apt-get install -y -qq --no-install-recommends \
    blender python3-numpy python3-requests python3-cattr python3-venv \
    xvfb xauth x11-utils xdotool openbox imagemagick procps \
    libgl1 libegl1 libglx-mesa0 libgl1-mesa-dri mesa-vulkan-drivers
inside blender --version | head -n 1
