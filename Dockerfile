# One image for web, worker and demo; compose.yaml says which it is.
FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
COPY requirements.txt ./
RUN pip install --no-cache-dir --require-hashes --requirement requirements.txt \
 && useradd --system progrock
COPY actors actors
COPY command command
COPY web web
COPY demo demo
COPY templates templates
COPY static static
USER progrock
EXPOSE 8000
CMD ["python", "-m", "web"]
