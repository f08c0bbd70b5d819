# The plan's proxy, for login shells; the agent writes the file.
if [ -r /var/lib/trivet/proxy.env ]; then
    set -a
    . /var/lib/trivet/proxy.env
    set +a
fi
