#!/usr/bin/env bash
# Runs inside the chroot: a display, a window manager, the extension installed as a user does it, then Blender's window
# with harness.py, which runs driver.py. Settings come from window.py by the environment; everything lies in this folder.
set -u
cd "$(dirname "$0")"
export HOME=$PWD/home XDG_RUNTIME_DIR=$PWD/runtime BLENDER_USER_RESOURCES=$PWD/blender WINDOW_OUT=$PWD/out
export DISPLAY=:$WINDOW_DISPLAY LIBGL_ALWAYS_SOFTWARE=1 LC_ALL=C.UTF-8
mkdir -p "$HOME/.config/openbox" "$BLENDER_USER_RESOURCES" "$WINDOW_OUT"
mkdir -p -m 700 "$XDG_RUNTIME_DIR"

for archive in *.zip; do
    [ -e "$archive" ] || continue
    blender -b --factory-startup --command extension install-file -r user_default --enable "$PWD/$archive" \
        >>out/install.log 2>&1 || exit 97
done

Xvfb "$DISPLAY" -screen 0 "${WINDOW_SIZE}x24" +extension GLX +extension RANDR -nolisten tcp >out/display.log 2>&1 &
for _ in $(seq 100); do xdpyinfo >/dev/null 2>&1 && break; sleep 0.1; done

# No frame and full size, so that Blender's pixels are the display's.
cat >"$HOME/.config/openbox/rc.xml" <<X
<openbox_config xmlns="http://openbox.org/3.4/rc"><applications>
<application class="*"><decor>no</decor><maximized>yes</maximized><focus>yes</focus></application>
</applications></openbox_config>
X
openbox >/dev/null 2>&1 &

# A driver that kills Blender names in `reopen` the file that it is to be started again with.
touch reopen
for WINDOW_TURN in 1 2 3 4; do
    export WINDOW_TURN
    file=$(cat reopen) && rm reopen
    timeout -k 5 "$WINDOW_LIMIT" blender --no-native-pixels --window-geometry 0 0 ${WINDOW_SIZE/x/ } \
        "$WINDOW_NETWORK" --gpu-backend "$WINDOW_BACKEND" ${file:+"$file"} --python harness.py >>out/blender.log 2>&1
    status=$?
    [ -e reopen ] || break
done
for report in *.crash.txt; do [ ! -e "$report" ] || cp "$report" "out/${report%.txt}.log"; done
[ $status = 124 ] && exit 124
[ -e out/status ] && exit "$(cat out/status)"
exit 98
