#!/bin/sh
# What this machine is, and what a program sees on it: a line "probe:NAME=VALUE" for each of the names below, and no others.
# It asks nobody, and changes nothing. What is not there has no value.

say() {
    # One line, of what may be many, without control characters.
    printf 'probe:%s=%s\n' "$1" "$(printf '%s' "$2" | tr '\n\t' '  ' | tr -d '\000-\037' | cut -c 1-600)"
}

first_line_of() { "$@" 2>&1 </dev/null | sed -n 1p; }

say os "$(. /etc/os-release 2>/dev/null && printf '%s' "$PRETTY_NAME")"
say image "$(sed -n 's/^image_\(name\|version\)=//p' /etc/image-id 2>/dev/null | tr -d '"')"
say machine "$(uname -rm)"
say glibc "$(getconf GNU_LIBC_VERSION 2>/dev/null)"
say openssl "$(first_line_of openssl version)"
say gcc "$(command -v gcc >/dev/null && first_line_of gcc -dumpfullversion)"
say aws "$(command -v aws >/dev/null && first_line_of aws --version)"
say python3 "$(command -v python3 >/dev/null && first_line_of python3 --version)"
say bash "$(first_line_of bash --version)"
say tar "$(first_line_of tar --version)"
say coreutils "$(first_line_of sort --version)"
say hadoop "$(for jar in /usr/lib/hadoop/hadoop-common-*.jar; do [ -e "$jar" ] && printf '%s ' "${jar##*/}"; done)"
say spark "$(sed -n 1p /usr/lib/spark/RELEASE 2>/dev/null)"
say job_history_format "$(grep -A 1 jhist.format /etc/hadoop/conf/mapred-site.xml 2>/dev/null | tr -d ' \n')"
say user "$(id -un 2>/dev/null)"
say groups "$(id -Gn 2>/dev/null)"
say directory "$(pwd)"
say limits "$(sed -n 's/^Max \(open files\|processes\|address space\) *\([^ ]*\).*/\1 \2;/p' /proc/self/limits 2>/dev/null)"
say mounts "$(df -PT / /mnt /tmp /opt 2>/dev/null | sed 1d | awk '{ print $7 " " $2 " " int($3 / 1024) " MB;" }')"
say tmp_options "$(awk '$2 == "/tmp" || $2 == "/mnt" { print $2 " " $4 }' /proc/mounts 2>/dev/null)"

# Of the environment, these names and no others: a value of another one may be somebody's secret.
for name in HOME USER LOGNAME SHELL LANG LC_ALL TMPDIR PATH PWD AWS_REGION AWS_DEFAULT_REGION JAVA_HOME HADOOP_HOME \
    HADOOP_CONF_DIR SPARK_HOME PYTHONPATH PYTHONHOME PYSPARK_PYTHON LD_LIBRARY_PATH OPENSSL_CONF; do
    if eval "[ -n \"\${$name+set}\" ]"; then
        say "env.$name" "$(eval "printf '%s' \"\$$name\"")"
    fi
done
exit 0
