"""ArchiveService and SearchService: messages to calls, records to messages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import grpc

from wordspot.indexer.archive.additions import Addition
from wordspot.indexer.archive.library import Library
from wordspot.indexer.archive.verdicts import VerdictFilter
from wordspot.indexer.paths import text_path
from wordspot.indexer.sound.audio import write_wav
from wordspot.services.access.tenancy import visible_tenant
from wordspot.services.admission import WorkSlots
from wordspot.services.answers import SearchAnswer, to_message
from wordspot.services.limits import DEFAULT_PAGE_ITEMS, DEFAULT_PEAK_BUCKETS
from wordspot.services.recording_filters import from_filter_message
from wordspot.services.runtime import (
    checked_chunk,
    chunks,
    ensure_wanted,
    first_part,
    later_part,
    parked,
    time_remaining,
)
from wordspot.services.searcher.archive_messages import (
    added_file,
    additions,
    archive_message,
    change_message,
    check_message,
    folder_paths,
    operation_message,
    page_start,
    page_token,
    peaks_message,
    recording_message,
    recording_states,
    status_value,
    tag_updates,
    updated_recording,
)
from wordspot.services.searcher.queries import SearchResources, checked_channel
from wordspot.services.searcher.search_messages import (
    check_answer_size,
    open_search,
    read_queries,
    read_stored,
)
from wordspot.services.verdict_messages import from_verdict_message, to_verdict_message
from wordspot.v1 import archive_pb2, archive_pb2_grpc, search_pb2, search_pb2_grpc


class ArchiveServicer(archive_pb2_grpc.ArchiveServiceServicer):
    """ArchiveService on an open library.

    Args:
        library: open.
        slots: of work that keeps a core busy, shared with searches.
        info: what the server says of itself.
    """

    def __init__(
        self,
        library: Library,
        slots: WorkSlots,
        info: archive_pb2.GetServerInfoResponse | None = None,
    ) -> None:
        self._info = info or archive_pb2.GetServerInfoResponse()
        self._library = library
        self._slots = slots

    def GetServerInfo(
        self, request: archive_pb2.GetServerInfoRequest, context: grpc.ServicerContext
    ) -> archive_pb2.GetServerInfoResponse:
        return self._info

    def CreateArchive(
        self, request: archive_pb2.CreateArchiveRequest, context: grpc.ServicerContext
    ) -> archive_pb2.CreateArchiveResponse:
        return archive_pb2.CreateArchiveResponse(
            archive=archive_message(self._library.create_archive(request.name))
        )

    def GetArchive(
        self, request: archive_pb2.GetArchiveRequest, context: grpc.ServicerContext
    ) -> archive_pb2.GetArchiveResponse:
        return archive_pb2.GetArchiveResponse(
            archive=archive_message(self._library.get_archive(request.name))
        )

    def ListArchives(
        self, request: archive_pb2.ListArchivesRequest, context: grpc.ServicerContext
    ) -> archive_pb2.ListArchivesResponse:
        page = self._library.list_archives(
            *page_start(request.page_token, request.page_size), tenant=visible_tenant()
        )
        return archive_pb2.ListArchivesResponse(
            archives=[archive_message(item) for item in page.items], next_page_token=page_token(page.next)
        )

    def DeleteArchive(
        self, request: archive_pb2.DeleteArchiveRequest, context: grpc.ServicerContext
    ) -> archive_pb2.DeleteArchiveResponse:
        self._library.delete_archive(request.name)
        return archive_pb2.DeleteArchiveResponse()

    def CompactArchive(
        self, request: archive_pb2.CompactArchiveRequest, context: grpc.ServicerContext
    ) -> archive_pb2.CompactArchiveResponse:
        done = self._library.compact(request.name)
        return archive_pb2.CompactArchiveResponse(
            segments_before=done.segments_before, segments_after=done.segments_after, bytes_freed=done.freed
        )

    def VerifyArchive(
        self, request: archive_pb2.VerifyArchiveRequest, context: grpc.ServicerContext
    ) -> Iterator[archive_pb2.VerifyArchiveResponse]:
        for result in self._library.check(request.name):
            yield check_message(result)
            ensure_wanted()

    def RepairArchive(
        self, request: archive_pb2.RepairArchiveRequest, context: grpc.ServicerContext
    ) -> archive_pb2.RepairArchiveResponse:
        operation = self._library.repair(request.name)
        return archive_pb2.RepairArchiveResponse(operation=operation_message(operation))

    def RefreshArchive(
        self, request: archive_pb2.RefreshArchiveRequest, context: grpc.ServicerContext
    ) -> Iterator[archive_pb2.RefreshArchiveResponse]:
        for step in self._library.refresh(request.name, folder_paths(request.folders)):
            yield archive_pb2.RefreshArchiveResponse(
                changes=map(change_message, step.changes), files_done=step.done, files_total=step.total
            )
            ensure_wanted()

    def PruneArchive(
        self, request: archive_pb2.PruneArchiveRequest, context: grpc.ServicerContext
    ) -> Iterator[archive_pb2.PruneArchiveResponse]:
        pruned = self._library.prune(request.name, folder_paths(request.folders))
        for first in range(0, len(pruned), DEFAULT_PAGE_ITEMS):
            batch = pruned[first : first + DEFAULT_PAGE_ITEMS]
            yield archive_pb2.PruneArchiveResponse(recordings=map(recording_message, batch))

    def UploadRecording(
        self, request_iterator: Iterator[archive_pb2.UploadRecordingRequest], context: grpc.ServicerContext
    ) -> archive_pb2.UploadRecordingResponse:
        header: archive_pb2.UploadHeader = first_part(request_iterator, "header")
        with self._library.begin_upload(
            header.archive,
            header.filename,
            header.sha256,
            header.size_bytes,
            header.request_id,
            dict(header.tags),
        ) as upload:
            for request in request_iterator:
                later_part(request, "chunk")
                upload.write(checked_chunk(request.chunk, "chunk"))
            recording, present = upload.finish()
        return archive_pb2.UploadRecordingResponse(
            recording=recording_message(recording), already_present=present
        )

    def AddRecording(
        self, request: archive_pb2.AddRecordingRequest, context: grpc.ServicerContext
    ) -> archive_pb2.AddRecordingResponse:
        addition = Addition(text_path(request.path), request.request_id, dict(request.tags))
        ((added,),) = self._library.add_paths(request.archive, [addition])
        if isinstance(added, Exception):
            raise added
        return archive_pb2.AddRecordingResponse(
            recording=recording_message(added.recording),
            already_present=added.present,
            status=status_value(added.status),
            previous_path=added.previous_path,
        )

    def AddRecordings(
        self, request: archive_pb2.AddRecordingsRequest, context: grpc.ServicerContext
    ) -> Iterator[archive_pb2.AddRecordingsResponse]:
        for added in self._library.add_paths(request.archive, additions(request.files)):
            yield archive_pb2.AddRecordingsResponse(files=map(added_file, added))
            ensure_wanted()

    def GetRecording(
        self, request: archive_pb2.GetRecordingRequest, context: grpc.ServicerContext
    ) -> archive_pb2.GetRecordingResponse:
        recording = self._library.get_recording(request.archive, request.recording)
        return archive_pb2.GetRecordingResponse(recording=recording_message(recording))

    def ListRecordings(
        self, request: archive_pb2.ListRecordingsRequest, context: grpc.ServicerContext
    ) -> archive_pb2.ListRecordingsResponse:
        page = self._library.list_recordings(
            request.archive,
            *page_start(request.page_token, request.page_size),
            from_filter_message(request.filter),
            recording_states(request.states),
        )
        return archive_pb2.ListRecordingsResponse(
            recordings=[recording_message(item) for item in page.items],
            next_page_token=page_token(page.next),
            total_size=page.total,
        )

    def UpdateRecordings(
        self, request: archive_pb2.UpdateRecordingsRequest, context: grpc.ServicerContext
    ) -> archive_pb2.UpdateRecordingsResponse:
        updated = self._library.tags.update(request.archive, tag_updates(request.updates))
        return archive_pb2.UpdateRecordingsResponse(updates=map(updated_recording, updated))

    def ListTags(
        self, request: archive_pb2.ListTagsRequest, context: grpc.ServicerContext
    ) -> archive_pb2.ListTagsResponse:
        page = self._library.tags.page(request.archive, *page_start(request.page_token, request.page_size))
        return archive_pb2.ListTagsResponse(
            tags=[archive_pb2.TagCount(**vars(count)) for count in page.items],
            next_page_token=page_token(page.next),
        )

    def DeleteRecording(
        self, request: archive_pb2.DeleteRecordingRequest, context: grpc.ServicerContext
    ) -> archive_pb2.DeleteRecordingResponse:
        self._library.delete_recording(request.archive, request.recording)
        return archive_pb2.DeleteRecordingResponse()

    def GetClip(
        self, request: archive_pb2.GetClipRequest, context: grpc.ServicerContext
    ) -> Iterator[archive_pb2.GetClipResponse]:
        start, end = request.interval.start_seconds, request.interval.end_seconds
        with self._slots.slot(time_remaining()):
            track, channel = checked_channel(request.track, "track"), checked_channel(request.channel)
            place = {"track": track, "channel": channel}
            if request.original_rate:
                sound = self._library.original_clip(request.archive, request.recording, start, end, **place)
                wav = write_wav(sound.samples, sound.rate)
            else:
                wav = write_wav(self._library.clip(request.archive, request.recording, start, end, **place))
        for chunk in chunks(wav):
            yield archive_pb2.GetClipResponse(chunk=chunk)

    def ReadRecording(
        self, request: archive_pb2.ReadRecordingRequest, context: grpc.ServicerContext
    ) -> Iterator[archive_pb2.ReadRecordingResponse]:
        content = self._library.content(request.archive, request.recording, request.offset, request.length)
        with closing(content) as pieces:
            with self._slots.slot(time_remaining()):  # the whole file may have to be read first
                piece = next(pieces, None)
            while piece is not None:
                yield archive_pb2.ReadRecordingResponse(chunk=piece.data, size_bytes=piece.size)
                piece = next(pieces, None)

    def GetPeaks(
        self, request: archive_pb2.GetPeaksRequest, context: grpc.ServicerContext
    ) -> archive_pb2.GetPeaksResponse:
        start, end = request.interval.start_seconds, request.interval.end_seconds
        with self._slots.slot(time_remaining()):
            peaks = self._library.peaks(
                request.archive, request.recording, start, end, request.buckets or DEFAULT_PEAK_BUCKETS
            )
        return peaks_message(peaks)

    def SetVerdicts(
        self, request: archive_pb2.SetVerdictsRequest, context: grpc.ServicerContext
    ) -> archive_pb2.SetVerdictsResponse:
        stored = self._library.verdicts.set(request.archive, [*map(from_verdict_message, request.verdicts)])
        return archive_pb2.SetVerdictsResponse(verdicts=map(to_verdict_message, stored))

    def ListVerdicts(
        self, request: archive_pb2.ListVerdictsRequest, context: grpc.ServicerContext
    ) -> archive_pb2.ListVerdictsResponse:
        correct = request.correct if request.HasField("correct") else None
        page = self._library.verdicts.page(
            request.archive,
            VerdictFilter(request.query, request.recording, correct, request.author),
            *page_start(request.page_token, request.page_size),
        )
        return archive_pb2.ListVerdictsResponse(
            verdicts=map(to_verdict_message, page.items),
            next_page_token=page_token(page.next),
            total_size=page.total,
        )

    def DeleteVerdicts(
        self, request: archive_pb2.DeleteVerdictsRequest, context: grpc.ServicerContext
    ) -> archive_pb2.DeleteVerdictsResponse:
        self._library.verdicts.delete(request.archive, request.ids)
        return archive_pb2.DeleteVerdictsResponse()

    def IndexArchive(
        self, request: archive_pb2.IndexArchiveRequest, context: grpc.ServicerContext
    ) -> archive_pb2.IndexArchiveResponse:
        operation = self._library.start_index(
            request.archive,
            request.encoder,
            request.request_id,
            channels=request.channels,
            tracks=request.tracks,
            drop_missing=request.drop_missing,
        )
        return archive_pb2.IndexArchiveResponse(operation=operation_message(operation))

    def GetOperation(
        self, request: archive_pb2.GetOperationRequest, context: grpc.ServicerContext
    ) -> archive_pb2.GetOperationResponse:
        return archive_pb2.GetOperationResponse(
            operation=operation_message(self._library.get_operation(request.id))
        )

    def ListOperations(
        self, request: archive_pb2.ListOperationsRequest, context: grpc.ServicerContext
    ) -> archive_pb2.ListOperationsResponse:
        page = self._library.list_operations(
            request.archive, *page_start(request.page_token, request.page_size)
        )
        return archive_pb2.ListOperationsResponse(
            operations=[operation_message(item) for item in page.items], next_page_token=page_token(page.next)
        )

    def WatchOperation(
        self, request: archive_pb2.WatchOperationRequest, context: grpc.ServicerContext
    ) -> Iterator[archive_pb2.WatchOperationResponse]:
        changes = self._library.watch_operation(request.id, stopped=lambda: not context.is_active())
        for operation in parked(changes):
            yield archive_pb2.WatchOperationResponse(operation=operation_message(operation))

    def CancelOperation(
        self, request: archive_pb2.CancelOperationRequest, context: grpc.ServicerContext
    ) -> archive_pb2.CancelOperationResponse:
        operation = self._library.cancel_operation(request.id)
        return archive_pb2.CancelOperationResponse(operation=operation_message(operation))

    def ResumeOperation(
        self, request: archive_pb2.ResumeOperationRequest, context: grpc.ServicerContext
    ) -> archive_pb2.ResumeOperationResponse:
        operation = self._library.resume_operation(request.id)
        return archive_pb2.ResumeOperationResponse(operation=operation_message(operation))


class SearchServicer(search_pb2_grpc.SearchServiceServicer):
    """SearchService on an open library."""

    def __init__(self, resources: SearchResources) -> None:
        self._resources = resources

    def Search(
        self, request_iterator: Iterator[search_pb2.SearchRequest], context: grpc.ServicerContext
    ) -> Iterator[search_pb2.SearchResponse]:
        options = first_part(request_iterator, "options")
        slots = self._resources.slots
        # Without room the call is turned away, but once its query has come: a caller that is still sending
        # might not read the status.
        search = open_search(self._resources, options) if slots.has_room(time_remaining()) else None
        admitted = False
        with self._resources.query_bytes.account() as account:
            for examples in read_queries(request_iterator, account):
                with slots.slot(time_remaining(), admitted=admitted):
                    search = search or open_search(self._resources, options)
                    answer = search.answer(examples)
                admitted = True
                yield search_pb2.SearchResponse(result=to_message(answer))

    def SearchStored(
        self, request: search_pb2.SearchStoredRequest, context: grpc.ServicerContext
    ) -> search_pb2.SearchStoredResponse:
        slots = self._resources.slots
        slots.ensure_room(time_remaining())
        search = open_search(self._resources, request.options)
        check_answer_size(len(request.queries), search.options.top)
        answers: list[SearchAnswer] = []
        for query in request.queries:
            with slots.slot(time_remaining(), admitted=bool(answers)):
                answers.append(search.answer(read_stored(query)))
        return search_pb2.SearchStoredResponse(results=[to_message(answer) for answer in answers])
