# The web page in a container. Build it, then run it, with a folder of trained models or without (-v ...),
# when it has those of the package:
#
#     docker build -t pix2pix-ilm .
#     docker run --rm -p 7860:7860 -e AUTH=USER:PASSWORD -v "$PWD/checkpoints:/checkpoints:ro" pix2pix-ilm
#
# and open http://localhost:7860. What follows the image's name goes to `pix2pix-ilm demo`, such as
# --allow-host NAME, the name under which browsers ask when it is not localhost.
FROM python:3.12-slim

COPY pyproject.toml README.md LICENSE /source/
COPY pix2pix_ilm /source/pix2pix_ilm
COPY checkpoints/facades-ilm /source/checkpoints/facades-ilm
COPY checkpoints/facades-in /source/checkpoints/facades-in
RUN pip install --no-cache-dir /source && rm -r /source

RUN useradd --create-home visitor && mkdir /checkpoints
USER visitor
WORKDIR /home/visitor
ENV PYTHONUNBUFFERED=1
EXPOSE 7860

# A shell, for $AUTH; exec, so that the page itself hears `docker stop`.
ENTRYPOINT ["sh", "-c", "exec pix2pix-ilm demo --checkpoints /checkpoints --host 0.0.0.0 --port 7860 --auth \"$AUTH\" \"$@\"", "demo"]
